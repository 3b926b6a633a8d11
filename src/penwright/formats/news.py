"""CNN/DailyMail: an article and its highlights in each .story file, for summaries."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from penwright.config import DataConfig
from penwright.document import Document
from penwright.errors import DataError
from penwright.formats.decode import find_encoding, read_blocks, read_lines
from penwright.formats.reader import Choice, Input
from penwright.formats.records import Record, make_documents
from penwright.formats.rows import Layout, parse_template
from penwright.wording import Warn

TEMPLATE = "{article}\\nTL;DR:\\n{highlight}"
"""How GPT-2 was asked for summaries (Radford et al. 2019, section 3.6)."""

# Also in or at the end of a line, but not in an address such as news@highlight.example.
_MARK = re.compile(r"[ \t]*@highlight\b(?!\.\w)[ \t]*")


@dataclass(frozen=True)
class StoryReader:
    """A collection of .story files."""

    choice: Choice
    members: tuple[str, ...]
    layout: Layout
    data: DataConfig

    def documents(self, warn: Warn) -> Iterator[Document]:
        """Yield a document per highlight; stories without one are left out and counted."""
        without, first = 0, ""
        for path in self.members:
            article, highlights = read_story(path, self.data.encoding, warn)
            if not article or not highlights:
                without += 1
                first = first or path
                continue
            values = [
                Record(1, {"article": article, "highlight": text})
                for text in _arrange(path, highlights, self.data.highlights)
            ]
            by_turns = self.data.highlights == "random"
            for document in make_documents(path, self.layout, iter(values), False, warn):
                yield replace(document, group=article, alternative=by_turns)
        if without:
            stories = "1 story has" if without == 1 else f"{without:,} stories have"
            left = "was" if without == 1 else "were"
            warn(f"{first}: {stories} no highlights or no article and {left} left out.")


def open_story(item: Input, data: DataConfig) -> StoryReader:
    """Open the stories of a folder, or those whose addresses are in the list `urls`."""
    members = item.members or (item.path,)
    if data.urls is not None:
        wanted = _wanted_stories(data.urls)
        members = tuple(path for path in members if Path(path).name.split(".")[0] in wanted)
        if not members:
            raise DataError(f"No story in {item.path} belongs to an address in {data.urls}.")
    encoding = find_encoding(members[0], data.encoding)
    layout = parse_template(data.template or TEMPLATE, data.learn)
    unknown = set(layout.columns) - {"article", "highlight"}
    if unknown:
        raise DataError(
            f"A .story file has no '{unknown.pop()}'.", fix="It has: article, highlight."
        )
    says = {
        "random": "one of its highlights, another in each pass,",
        "all": "each of its highlights, in documents of their own,",
        "joined": "its highlights, one after another,",
    }[data.highlights]
    choice = Choice(
        item.path,
        "story",
        encoding,
        says=f"{len(members):,} stories, and {says} after TL;DR:",
        columns=("article", "highlight"),
        template=layout.template,
        learn=layout.learned,
        prompt_format=layout.prompt_format,
    )
    return StoryReader(choice, members, layout, data)


def read_story(path: str, encoding: str | None, warn: Warn) -> tuple[str, list[str]]:
    """Return an article and its highlights, which follow `@highlight` wherever it stands."""
    article, *highlights = _MARK.split("".join(read_blocks(path, encoding, warn)))
    return article.strip(), [text.strip() for text in highlights if text.strip()]


def _arrange(path: str, highlights: list[str], how: str) -> list[str]:
    if how == "joined":
        return ["\n".join(highlights)]
    if how == "random":
        # The first stands for the story where it is measured. Which one that is follows from the
        # file's name, so that it is the same wherever the folder lies.
        random.Random(Path(path).name).shuffle(highlights)
    return highlights


def _wanted_stories(urls: str) -> set[str]:
    """Return the names of the stories in a list of addresses: the SHA-1 of each address."""
    lines = read_lines(urls, None, lambda _: None)
    return {
        hashlib.sha1(line.strip().encode(), usedforsecurity=False).hexdigest()
        for line in lines
        if line.strip()
    }
