"""The command line: one thin file a verb, and nothing heavy imported before a verb needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from cyclopts import App, CycloptsError, Parameter, UnknownCommandError

from penwright import __version__
from penwright.cli.options import config_options, split_lists
from penwright.errors import PenwrightError, suggest

VERBS = (
    "quickstart",
    "inspect",
    "prepare",
    "plan",
    "finetune",
    "recipe",
    "cross-train",
    "generate",
    "write",
    "evaluate",
    "report",
    "runs",
    "download",
    "export",
    "merge",
    "push",
    "keywords",
    "tokenizer",
    "new",
)

GROUPS = {
    "keywords": ("Teach a model to write to keywords.", ("encode", "decode")),
    "tokenizer": ("Make a tokenizer.", ("train",)),
}
"""The verbs that have verbs of their own."""

_SHORT = {"-n": "--n", "-o": "--output"}

ENVIRONMENT = {
    # Threads that wait for each other by spinning are ten times slower on a machine that does
    # something else as well; threads that sleep at once take longer to wake than many an operation
    # takes. With libgomp they spin for some microseconds, then sleep.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "20000",
    # Large tensors in pages of 2 MiB: being handed fresh memory costs a third.
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""What torch reads once, when it is loaded; whatever the user has set stays."""


def make_app() -> App:
    """The command line's commands: thin functions, which import the heavy parts when called."""
    app = App(
        name="penwright",
        help="Teach GPT-2 to write like your own text, on the machine you have.",
        help_epilogue="New here? Type: penwright quickstart",
        version=__version__,
        help_format="plaintext",
        default_parameter=Parameter(negative_iterable=(), negative_none=()),
        print_error=False,
        exit_on_error=False,
        result_action="return_none",
        suppress_keyboard_interrupt=False,
    )
    for verb in VERBS:
        room_name = verb.replace("-", "_")
        room = import_module(f"penwright.cli.{room_name}")
        if verb not in GROUPS:
            app.command(getattr(room, room_name), name=verb)
            continue
        says, inner = GROUPS[verb]
        group = App(name=verb, help=says)
        for name in inner:
            group.command(getattr(room, name), name=name)
        app.command(group)
    return app


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0, 1 for a failure, 2 for usage, 130 when interrupted."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run one command; returns its exit code and shows a traceback only for a bug."""
    os.environ.update(ENVIRONMENT | os.environ)
    app = make_app()
    try:
        app.config = config_options(argv)
        app(split_lists([_SHORT.get(word, word) for word in argv]))
    except CycloptsError as error:
        return _fail(
            _sentence(error, argv), f"`penwright {_verb(argv)}--help` lists the options.", 2
        )
    except PenwrightError as error:
        return _fail(error.message, error.fix, error.exit_code)
    except KeyboardInterrupt:
        return _fail("Stopped.", "", 130)
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 1
    return 0


def _sentence(error: CycloptsError, argv: Sequence[str]) -> str:
    if isinstance(error, UnknownCommandError):
        name = error.unused_tokens[0] if error.unused_tokens else ""
        known = GROUPS[argv[0]][1] if argv and argv[0] in GROUPS else VERBS
        return f"There is no command '{name}'. {suggest(name, known)}".rstrip()
    return str(error)


def _verb(argv: Sequence[str]) -> str:
    """The command that was asked for, as far as there is one, with a space after it."""
    if not argv or argv[0] not in VERBS:
        return ""
    inner = GROUPS[argv[0]][1] if argv[0] in GROUPS else ()
    return f"{argv[0]} {argv[1]} " if argv[1:] and argv[1] in inner else f"{argv[0]} "


def _fail(message: str, fix: str, code: int) -> int:
    sys.stdout.flush()
    print(f"penwright: {message}" + (f"\n  {fix}" if fix else ""), file=sys.stderr)
    return code
