"""Run gpt-2-simple's command line: `python -m penwright.compat.gpt_2_simple finetune|generate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from penwright.compat.gpt_2_simple.folders import download_gpt2, is_gpt2_downloaded
from penwright.compat.gpt_2_simple.training import finetune
from penwright.compat.gpt_2_simple.writing import (
    DELIMITER,
    generate_to_file,
    load_gpt2,
    start_tf_sess,
)
from penwright.errors import PenwrightError

_BOTH = (
    ("run_name", str, "run1", "name of the run"),
    ("checkpoint_dir", str, "checkpoint", "folder of the runs"),
)
_FINETUNE = (
    ("model_name", str, "124M", "model to train"),
    ("model_dir", str, "models", "folder of the models"),
    ("steps", int, -1, "steps to train; below 1, until it is stopped"),
    ("restore_from", str, "latest", "latest, fresh, or a path"),
    ("sample_every", int, 1000000, "steps between samples"),
    ("save_every", int, 100, "steps between checkpoints"),
    ("print_every", int, 10, "steps between lines"),
    ("optimizer", str, "adam", "adam or sgd"),
)
_GENERATE = (
    ("nfiles", int, 1, "files to write"),
    ("nsamples", int, 1, "texts in a file"),
    ("folder", str, "gen", "folder for the files; existing ones stay"),
    ("length", int, 1023, "most tokens in a text"),
    ("temperature", float, 0.7, "above 1 more random, below 1 less"),
    ("top_k", int, 0, "sample from the K likeliest tokens; 0 is all"),
    ("top_p", float, 0.0, "sample from the likeliest tokens of this total probability; 0 is all"),
    ("batch_size", int, 1, "texts written at once"),
    ("prefix", str, None, "text that each text begins with"),
    ("truncate", str, None, "text before which each text is cut off"),
    ("sample_delim", str, DELIMITER, "line between two texts"),
)
_SWITCHES = (
    ("include_prefix", True, "[generate] keep the prefix in the texts"),
    ("overwrite", False, "[finetune] replace the run instead of keeping it"),
    ("multi_gpu", True, "accepted; one GPU is used"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 for a failure, 2 for usage."""
    arguments = _parser().parse_args(argv)
    mode = arguments.mode or arguments.mode_flag
    if mode not in ("finetune", "generate"):
        _parser().error("the mode is finetune or generate")
    try:
        _finetune(arguments) if mode == "finetune" else _generate(arguments)
    except PenwrightError as error:
        print(f"{error.message}" + (f"\n  {error.fix}" if error.fix else ""), file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m penwright.compat.gpt_2_simple",
        description="gpt-2-simple's command line over Penwright: finetune a text, or generate.",
    )
    parser.add_argument("mode", nargs="?", help="finetune or generate")
    parser.add_argument("dataset", nargs="?", help="[finetune] the text to learn from")
    parser.add_argument("--mode", dest="mode_flag", help="the same as the first word")
    parser.add_argument("--dataset", dest="dataset_flag", help="the same as the second word")
    for group, flags in (("", _BOTH), ("[finetune] ", _FINETUNE), ("[generate] ", _GENERATE)):
        for name, kind, default, words in flags:
            parser.add_argument(f"--{name}", type=kind, default=default, help=group + words)
    for name, default, words in _SWITCHES:
        parser.add_argument(
            f"--{name}", nargs="?", const=True, default=default, type=_truth, help=words
        )
    return parser


def _finetune(arguments: argparse.Namespace) -> None:
    dataset = arguments.dataset or arguments.dataset_flag
    if dataset is None:
        _parser().error("there is nothing to learn from: name a file, a folder or a glob")
    if not is_gpt2_downloaded(arguments.model_dir, arguments.model_name):
        download_gpt2(arguments.model_dir, arguments.model_name)
    finetune(
        start_tf_sess(),
        dataset,
        steps=arguments.steps,
        model_name=arguments.model_name,
        model_dir=arguments.model_dir,
        restore_from=arguments.restore_from,
        run_name=arguments.run_name,
        checkpoint_dir=arguments.checkpoint_dir,
        sample_every=arguments.sample_every,
        save_every=arguments.save_every,
        print_every=arguments.print_every,
        multi_gpu=arguments.multi_gpu,
        optimizer=arguments.optimizer,
        overwrite=arguments.overwrite,
    )


def _generate(arguments: argparse.Namespace) -> None:
    sess = start_tf_sess()
    load_gpt2(sess, run_name=arguments.run_name, checkpoint_dir=arguments.checkpoint_dir)
    for _ in range(arguments.nfiles):
        generate_to_file(
            sess,
            run_name=arguments.run_name,
            checkpoint_dir=arguments.checkpoint_dir,
            truncate=arguments.truncate,
            destination_path=_new_file(Path(arguments.folder)),
            sample_delim=arguments.sample_delim,
            prefix=arguments.prefix,
            nsamples=arguments.nsamples,
            batch_size=arguments.batch_size,
            length=arguments.length,
            temperature=arguments.temperature,
            top_k=arguments.top_k,
            top_p=arguments.top_p,
            include_prefix=arguments.include_prefix,
        )


def _new_file(folder: Path) -> Path:
    """Return an unused file name, made of the time and, where that is taken, a number."""
    stem = f"gpt2_gentext_{datetime.now(UTC):%Y%m%d_%H%M%S}"
    path, number = folder / f"{stem}.txt", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}_{number}.txt"
    return path


def _truth(word: str) -> bool:
    return word.lower() == "true"


if __name__ == "__main__":
    main()
