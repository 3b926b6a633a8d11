"""`penwright keywords`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from penwright.cli.options import Json, Opened, warn
from penwright.config import KeywordsConfig
from penwright.markers import END_OF_TEXT, START_OF_TEXT

DELIMITER = "=" * 20


def encode(
    *data: str,
    output: Path,
    options: Annotated[KeywordsConfig, Opened] = KeywordsConfig(),  # noqa: B008 - frozen
) -> None:
    """Turn a table of titles into texts that begin with their keywords, ready to learn from.

    Parameters
    ----------
    data
        CSV, JSONL, JSON or Parquet files.
    output
        The file to write; one that is there is replaced.
    """
    from penwright.verbs.keywords import run_encode

    done = run_encode(data, output, options, warn)
    print(f"{done.rows:,} rows, {done.lines:,} lines in {output}")


def decode(
    file: str,
    *,
    section: tuple[str, ...] = (),
    output: Path | None = None,
    start_token: str = START_OF_TEXT,
    end_token: str = END_OF_TEXT,
    json_: Annotated[Json, Parameter(name="--json")] = False,
) -> None:
    """Take texts with keywords apart again, a whole file of them.

    Parameters
    ----------
    file
        A file of such texts, as they were encoded or as a model wrote them.
    section
        category, keywords, title or body; may be given several times. The title unless given.
    output
        Write to this file instead; one that ends in .jsonl gets JSON.
    start_token
        What a text begins with.
    end_token
        What a text ends with.
    """
    from contextlib import ExitStack
    from itertools import chain

    from penwright.files import refuse_existing
    from penwright.formats.keywords import NAMES, Marks
    from penwright.verbs.keywords import decode_keywords

    as_json = json_ or (output is not None and output.suffix == ".jsonl")
    wanted = section or (NAMES if as_json else ("title",))
    texts = decode_keywords(file, wanted, marks=Marks(start_token, end_token), warn=warn)
    first = next(texts)  # a file without any is refused before another is written
    with ExitStack() as stack:
        target = None
        if output is not None:
            refuse_existing(output)
            target = stack.enter_context(output.open("w", encoding="utf-8", newline="\n"))
        count = 0
        for count, found in enumerate(chain([first], texts), 1):
            if as_json:
                print(json.dumps(found, ensure_ascii=False), file=target)
            else:
                text = "\n".join(found[name] for name in wanted)
                print(text if count == 1 else f"{DELIMITER}\n{text}", file=target)
    if output is not None:
        warn(f"{count:,} texts in {output}")
