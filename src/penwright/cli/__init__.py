"""Run the command line: a table of verbs, whose functions import heavy libraries when called."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from cyclopts import App, CycloptsError, Group

from penwright import __version__
from penwright.cli.errors import explain
from penwright.cli.options import DEFAULTS, HelpFormatter, config_options, run_command, spell_out
from penwright.errors import PenwrightError, RankError, RankLostError

VERBS = {
    "Prepare": {
        "inspect": "inspect:inspect",
        "plan": "prepare:plan",
        "prepare": "prepare:prepare",
        "keywords encode": "prepare:encode",
        "keywords decode": "prepare:decode",
        "tokenizer train": "prepare:train_tokenizer",
        "new": "prepare:new",
        "download": "prepare:download",
    },
    "Train": {
        "quickstart": "train:quickstart",
        "finetune": "train:finetune",
        "cross-train": "train:cross_train",
        "recipe": "train:recipe",
    },
    "Write": {
        "write": "write:write",
        "generate": "generate:generate",
        "studio": "serve:studio",
        "serve": "serve:serve",
    },
    "Evaluate": {
        "evaluate": "use:evaluate",
        "compare": "use:compare",
        "score": "use:score",
        "copied": "use:copied",
        "report": "use:report",
        "runs": "use:runs",
    },
    "Share": {
        "export": "use:export",
        "merge": "use:merge",
        "push": "use:push",
    },
}
"""The verbs in groups, in the order of the work, and the module and function of each."""

NOUNS = {
    "keywords": "Make titles for keywords: encode a table, decode what was written.",
    "tokenizer": "Train a tokenizer.",
}
"""The first words of verbs of two words, and their help."""

ENVIRONMENT = {
    # Threads that wait for each other by spinning are ten times slower on a machine that does
    # something else as well; threads that sleep at once take longer to wake than many an operation
    # takes. With libgomp they spin for some microseconds, then sleep.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "20000",
    # Large tensors in pages of 2 MiB: being handed fresh memory costs a third.
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""Environment variables that torch reads once, when it is loaded; the user's own win."""


def make_app() -> App:
    """Return the command line's parser; the functions import the heavy parts when called."""
    app = App(
        name="penwright",
        help="Teach GPT-2 to write like your own text, on the machine you have.",
        help_epilogue="New here? Type: penwright quickstart",
        version=__version__,
        help_format="plaintext",
        default_parameter=DEFAULTS,
        help_formatter=HelpFormatter(),
        group_parameters=Group("Options", sort_key=1),
        group_commands=Group("Other", sort_key=99),
        print_error=False,
        exit_on_error=False,
        result_action="return_none",
        suppress_keyboard_interrupt=False,
    )
    nouns: dict[str, App] = {}
    for number, (heading, verbs) in enumerate(VERBS.items()):
        group = Group(heading, sort_key=number)
        for place, (verb, target) in enumerate(verbs.items()):
            first, _, second = verb.partition(" ")
            if second and first not in nouns:
                nouns[first] = App(name=first, help=NOUNS[first], group=group, sort_key=place)
                app.command(nouns[first])
            parent = nouns[first] if second else app
            module, _, function = target.partition(":")
            command = getattr(import_module(f"{__name__}.{module}"), function)
            parent.command(command, name=second or first, group=group, sort_key=place)
    return app


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0, 1 for a failure, 2 for usage, 130 when interrupted."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # UTF-8 everywhere, also in a pipe on Windows
            stream.reconfigure(encoding="utf-8", errors=stream.errors)
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run one command; returns its exit code and shows a traceback only for a bug."""
    os.environ.update(ENVIRONMENT | os.environ)
    app = make_app()
    if argv and argv[0] == "help":
        argv = [*argv[1:], "--help"]
    try:
        if {"--version", "--verbose"} == set(argv):
            return _print_versions()
        sources = config_options(argv)
        run_command(app, spell_out(argv, lambda: flags_of(app, argv)), sources)
    except CycloptsError as error:
        verb = find_verb(argv)
        said = explain(error, argv, verb, flags_of(app, argv))
        return 2 if _is_told_elsewhere(error) else _fail(*said, 2)
    except PenwrightError as error:
        if _is_told_elsewhere(error):
            return error.exit_code
        return _fail(error.message, error.fix, error.exit_code)
    except KeyboardInterrupt:
        return _fail("Stopped.", "", 130)
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 1
    return 0


def _print_versions() -> int:
    """Print the versions of Penwright and PyTorch, and what computes generated text."""
    import torch

    from penwright import native

    print(f"penwright {__version__}\ntorch {torch.__version__}\nwriting: {native.describe()}")
    return 0


def list_verbs() -> list[str]:
    """Return every verb, such as `finetune` and `keywords encode`, in the order of the help."""
    return [verb for verbs in VERBS.values() for verb in verbs]


def find_verb(argv: Sequence[str]) -> str:
    """Return the verb that begins `argv`, or an empty string."""
    known = list_verbs()
    return next((v for n in (2, 1) if (v := " ".join(argv[:n])) in known), "")


def flags_of(app: App, argv: Sequence[str]) -> set[str]:
    """Return the flags of the verb that begins `argv`."""
    verb = find_verb(argv)
    if not verb:
        return set()
    command = app
    for word in verb.split():
        command = command[word]
    arguments = command.assemble_argument_collection()
    return {name for argument in arguments for name in argument.names if name.startswith("-")}


def _is_told_elsewhere(error: Exception) -> bool:
    """Return whether rank 0 or the launcher prints this error of one of several processes."""
    if isinstance(error, RankLostError):
        return "PENWRIGHT_LAUNCHED" in os.environ and "LOCAL_RANK" in os.environ
    return os.environ.get("RANK", "0") != "0" and not isinstance(error, RankError)


def _fail(message: str, fix: str, code: int) -> int:
    sys.stdout.flush()
    print(f"penwright: {message}" + (f"\n  {fix}" if fix else ""), file=sys.stderr)
    return code
