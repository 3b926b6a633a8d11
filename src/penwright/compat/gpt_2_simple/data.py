"""gpt-2-simple's data: one-column CSV files, pre-encoded .npz files, texts, folders and globs."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from penwright import formats
from penwright.compat.gpt_2_simple.folders import OLD_NAMES, find_model, is_gpt2_downloaded
from penwright.config import DataConfig
from penwright.document import END_OF_TEXT, START_OF_TEXT
from penwright.errors import DataError, UsageError, suggest
from penwright.files import atomic_file, write_text
from penwright.formats.decode import read_blocks
from penwright.formats.plain import RULES, split
from penwright.formats.tables import look_at_csv
from penwright.weights import names
from penwright.wording import Warn

if TYPE_CHECKING:
    from penwright.tokens.bpe import Tokenizer

_SLICE = 1 << 20


def encode_csv(
    csv_path: str | Path,
    out_path: str | Path = "csv_encoded.txt",
    header: bool = True,
    start_token: str = START_OF_TEXT,
    end_token: str = END_OF_TEXT,
) -> None:
    """Write a CSV's first column as a text of marked documents, a row a document.

    With `header` the first row is left out if it names the columns; if it is a text like the
    others it stays. Without `header` the first row always stays. Rows without text are left out.
    Raises DataError for a file that cannot be read.
    """
    if Path(out_path).resolve() == Path(csv_path).resolve():
        raise UsageError(f"{out_path} would replace the CSV file.", fix="Choose another out_path.")
    rows = read_csv(csv_path, header, _say)
    write_text(Path(out_path), "".join(f"{start_token}{row}{end_token}\n" for row in rows))


def read_csv(path: str | Path, header: bool, warn: Warn) -> Iterator[str]:
    """Yield the texts in the first column of a CSV file."""
    head = look_at_csv(str(path), DataConfig(header=None if header else False))
    if len(head.names) > 1:
        warn(f"{path} has {len(head.names)} columns; the text is the first, '{head.names[0]}'.")
    elif header and not head.header:
        warn(f"{path} has no row of names, so its first row is a text like the others.")
    data = DataConfig(format="csv", header=head.header, text_column=head.names[0], skip_empty=True)
    return (document.text for document in formats.read([path], data, warn))


def encode_dataset(
    file_path: str | Path,
    model_dir: str | Path = "models",
    out_path: str | Path = "text_encoded.npz",
    model_name: str = "124M",
    combine: int = 50000,
) -> None:
    """Encode a file, a folder or a glob, and write the tokens as a compressed .npz file.

    Files of fewer than `combine` characters share an array. Raises DataError.
    """
    tokenizer = find_tokenizer(model_name, model_dir)
    print("Reading files")
    chunks = [chunk for chunk in encode_files(expand(file_path), tokenizer, combine) if len(chunk)]
    out = Path(out_path)
    out = out if out.suffix == ".npz" else out.with_name(out.name + ".npz")
    print(f"Writing {out}")
    with atomic_file(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, *chunks)


def encode_files(
    paths: Sequence[Path], tokenizer: Tokenizer, combine: int
) -> Iterator[npt.NDArray[np.generic]]:
    """Yield arrays of tokens, each of one long file or of short ones with an end marker between."""
    kind = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.int32
    mark = np.array(tokenizer.encode(END_OF_TEXT), dtype=kind)
    waiting: list[npt.NDArray[np.generic]] = []
    size, marked = 0, True
    for path in paths:
        if path.suffix == ".npz":
            yield from (array.astype(kind) for array in read_npz(path, tokenizer.vocab_size))
            continue
        if waiting and not marked:
            waiting.append(mark)
        for piece in _pieces(path):
            waiting.append(tokenizer.encode_batch([piece])[0].astype(kind))
            size += len(piece)
        marked = path.suffix == ".csv"
        if size >= combine:
            yield np.concatenate(waiting)
            waiting, size = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _pieces(path: Path) -> Iterator[str]:
    """Yield a file's text in parts that end where GPT-2's tokens end."""
    if path.suffix == ".csv":
        yield from (f"{START_OF_TEXT}{row}{END_OF_TEXT}\n" for row in read_csv(path, True, _say))
    else:
        blocks = read_blocks(str(path), None, _say)
        yield from (part.content for part, _ in split(blocks, re.compile(RULES["file"])))


def read_npz(path: Path, vocabulary: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the token arrays of a pre-encoded file; raises DataError for any other file."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            for name in stored.files:
                array = stored[name]
                if array.ndim != 1 or array.dtype.kind not in "iu":
                    raise ValueError(f"'{name}' is no list of tokens")
                if len(array) and not 0 <= int(array.min()) <= int(array.max()) < vocabulary:
                    raise ValueError(f"'{name}' holds tokens that the model does not have")
                yield array.astype(np.int64)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} is no file of pre-encoded text: {str(error).rstrip('.')}.",
            fix="Make one with encode_dataset().",
        ) from None


def expand(dataset: str | Path) -> list[Path]:
    """Return the files of a data set, sorted: a file, all files in a folder, or a glob's matches.

    Raises DataError when there is none.
    """
    path = Path(dataset)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.is_file()]
    else:
        # Path.glob takes no absolute patterns.
        found = [Path(name) for name in glob.glob(str(dataset), recursive=True)]  # noqa: PTH207
    files = sorted(file for file in found if file.is_file() and not _is_hidden(file, path))
    if not files:
        near = path.parent.iterdir() if path.parent.is_dir() else iter(())
        raise DataError(
            f"There is no file in '{dataset}'.",
            fix=suggest(path.name, (file.name for file in near)),
        )
    return files


def _is_hidden(file: Path, top: Path) -> bool:
    parts = file.relative_to(top).parts if file.is_relative_to(top) else (file.name,)
    return any(part.startswith(".") for part in parts)


def readable(dataset: str | Path, tokenizer: Tokenizer, cache: Path, warn: Warn) -> list[Path]:
    """Return the files to train on: texts as they are, CSV and .npz files as texts in `cache`."""
    found: list[Path] = []
    for path in expand(dataset):
        if path.suffix not in (".csv", ".npz"):
            found.append(path)
            continue
        content = hashlib.sha256(tokenizer.hash.encode())
        with path.open("rb") as file:
            content.update(hashlib.file_digest(file, "sha256").digest())
        target = cache / f"{path.stem}-{content.hexdigest()[:16]}.txt"
        if not target.exists():
            cache.mkdir(parents=True, exist_ok=True)
            texts = (
                (f"{START_OF_TEXT}{row}{END_OF_TEXT}\n" for row in read_csv(path, True, warn))
                if path.suffix == ".csv"
                else _decoded(path, tokenizer)
            )
            with (
                atomic_file(target) as temporary,
                temporary.open("w", encoding="utf-8", newline="\n") as out,
            ):
                out.writelines(texts)
        found.append(target)
    return found


def _decoded(path: Path, tokenizer: Tokenizer) -> Iterator[str]:
    """Yield the text of a pre-encoded file, a document for each array."""
    for array in read_npz(path, tokenizer.vocab_size):
        pieces = (
            tokenizer.decode_bytes(array[start : start + _SLICE].tolist())
            for start in range(0, len(array), _SLICE)
        )
        yield b"".join(pieces).decode("utf-8", "replace") + END_OF_TEXT + "\n"


def find_tokenizer(model_name: str, model_dir: str | Path) -> Tokenizer:
    """Return a model's tokenizer; that of OpenAI's sizes is bundled and needs no download."""
    from penwright.tokens.bpe import Tokenizer

    if not is_gpt2_downloaded(model_dir, model_name) and (
        OLD_NAMES.get(model_name, model_name) in names.SIZES
    ):
        return Tokenizer.gpt2()
    return Tokenizer.from_folder(find_model(model_name, model_dir))


def _say(sentence: str) -> None:
    import sys

    print(sentence, file=sys.stderr)
