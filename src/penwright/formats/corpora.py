"""Read published data sets in their own files: CNN/DailyMail, WritingPrompts, CoQA."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penwright.config import DataConfig
from penwright.document import Document, Source, Span, merge_spans
from penwright.errors import DataError, UsageError
from penwright.formats.decode import find_encoding, read_blocks, read_lines
from penwright.formats.reader import Choice, Input
from penwright.formats.record_files import read_items
from penwright.formats.records import Record, make_documents
from penwright.formats.rows import EVERYTHING, Layout, first_words, pair_layout, parse_template
from penwright.formats.selection import AROUND, Size, tell_of_long
from penwright.wording import Warn

SUMMARY_TEMPLATE = "{article}\\nTL;DR:\\n{highlight}"
"""The template with which GPT-2 was prompted for summaries (Radford et al. 2019, section 3.6)."""

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
            raise DataError(
                f"No story in {item.path} belongs to an address in {data.urls}.",
                fix="Name the list of these stories, or leave --urls out.",
            )
    encoding = find_encoding(members[0], data.encoding)
    layout = parse_template(data.template or SUMMARY_TEMPLATE, data.learn)
    unknown = set(layout.columns) - {"article", "highlight"}
    if unknown:
        raise DataError(
            f"A .story file has no '{unknown.pop()}'.", fix="It has: article, highlight."
        )
    says = {
        "random": "one of its highlights, another in each epoch,",
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


PAIR_SUFFIXES = {".wp_source": ".wp_target", ".source": ".target", ".src": ".tgt"}
"""The suffixes of a file of prompts, a line each, and of the file with their texts."""

SEPARATOR = " <sep> "
"""The default separator of a prompt and its story."""

NEWLINE = "<newline>"
"""A line break inside a story; it counts as a word."""


@dataclass(frozen=True)
class PairReader:
    """A file of prompts and the file of their texts."""

    choice: Choice
    item: Input
    layout: Layout
    encoding: str | None
    skip_empty: bool
    max_words: int | None

    def documents(self, warn: Warn) -> Iterator[Document]:
        """Yield a document per line; raises DataError when the files differ in lines."""
        yield from make_documents(
            self.item.path, self.layout, self._records(warn), self.skip_empty, warn
        )

    def _records(self, warn: Warn) -> Iterator[Record]:
        target = self.item.target or ""
        prompts = read_lines(self.item.path, self.encoding, warn)
        texts = read_lines(target, self.encoding, warn)
        for number, (prompt, text) in enumerate(itertools.zip_longest(prompts, texts), 1):
            if prompt is None or text is None:
                raise _unequal(self.item, self.encoding)
            kept = first_words(text, self.max_words) if self.max_words else text
            values = {"prompt": prompt, "story": kept.replace(NEWLINE, "\n")}
            yield Record(number, values)


def open_pairs(item: Input, data: DataConfig) -> PairReader:
    """Open a pair of files; raises DataError when one is missing or empty."""
    if item.target is None:
        raise DataError(
            f"{item.path} is not one of a pair of files.",
            fix="Pairs are called NAME.wp_source and NAME.wp_target.",
        )
    encoding = find_encoding(item.path, data.encoding)
    find_encoding(item.target, data.encoding)
    separator = SEPARATOR if data.separator is None else data.separator
    layout = replace(pair_layout("prompt", "story", separator, data.learn), max_words=None)
    choice = Choice(
        item.path,
        "pairs",
        encoding,
        says=f"each line is a prompt, and its story stands on the same line of {item.target}; "
        f"a document is {layout.template!r}",
        columns=("prompt", "story"),
        template=layout.template,
        learn=layout.learned,
        prompt_format=layout.prompt_format,
    )
    return PairReader(choice, item, layout, data.encoding, data.skip_empty, data.max_words)


def _unequal(item: Input, encoding: str | None) -> DataError:
    def count(path: str) -> int:
        return sum(1 for _ in read_lines(path, encoding, lambda _: None))

    prompts, texts = count(item.path), count(item.target or "")
    return DataError(
        f"{item.path} has {prompts:,} lines, but {item.target} has {texts:,}.",
        fix="Line N of one belongs to line N of the other, so the counts must be equal.",
    )


COQA_PARTS = ("story", "questions", "answers")

_MARKS = (b'"story"', b'"questions"', b'"input_text"')


@dataclass(frozen=True)
class CoqaReader:
    """A CoQA file in the schema of its first release (Reddy et al. 2019)."""

    choice: Choice
    data: DataConfig
    size: Size | None = None

    def documents(self, warn: Warn) -> Iterator[Document]:
        """Yield a document for each story: the story, then as many turns as there is room for.

        A story that leaves no room for a turn within `max_tokens` is left out, which is told.
        """
        path = self.choice.path
        left_out: list[Source] = []
        for number, item in enumerate(read_items(path, self.data.encoding, warn), 1):
            place = f"{path}: story {number}"
            story, turns = _read_turns(place, item)
            spans = [Span(story, "story" in self.choice.learn)]
            words = len(story.split())
            tokens = AROUND + self._tokens(story)
            for question, answer in turns:
                asked, told = _turn(question, answer)
                tokens += self._tokens(asked) + self._tokens(told)
                if self.data.max_tokens is not None and tokens > self.data.max_tokens:
                    break
                words += len(question.split()) + len(answer.split()) + 2
                if self.data.max_words is not None and words > self.data.max_words:
                    break
                spans.append(Span(asked, "questions" in self.choice.learn))
                spans.append(Span(told, "answers" in self.choice.learn))
            if len(spans) == 1 and turns and self.data.max_words is None:
                left_out.append(Source(path, number))
                continue
            if len(spans) == 1:
                raise DataError(
                    f"{place} leaves no room for a turn within {self.data.max_words} words."
                    if turns
                    else f"{place} has no questions."
                )
            yield Document(merge_spans(spans), Source(path, number), _fields(item))
        tell_of_long(left_out, self.data.max_tokens or 0, warn)

    def _tokens(self, text: str) -> int:
        limited = self.size is not None and self.data.max_tokens is not None
        return self.size(text) if limited and self.size else 0


def open_coqa(item: Input, data: DataConfig) -> CoqaReader:
    """Open a CoQA file; its answers are learned unless --learn names story, questions or all."""
    encoding = find_encoding(item.path, data.encoding)
    learn = COQA_PARTS if EVERYTHING in data.learn else data.learn or ("answers",)
    for name in learn:
        if name not in COQA_PARTS:
            raise UsageError(
                f"A CoQA file has no '{name}'.", fix=f"It has: {', '.join(COQA_PARTS)}."
            )
    says = f"a story, then its questions and answers; {' and '.join(learn)} learned"
    choice = Choice(
        item.path, "coqa", encoding, says=says, learn=learn, prompt_format="{prompt}\nA:"
    )
    return CoqaReader(choice, data)


def is_coqa(head: bytes) -> bool:
    """Return whether a JSON file begins as CoQA does."""
    return all(mark in head for mark in _MARKS)


def more_answers(path: str, encoding: str | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the text before each answer, and the answers of other people to the same question.

    Only the development set has them, as `additional_answers`; other files yield nothing.
    """
    for number, item in enumerate(read_items(path, encoding, lambda _: None), 1):
        more: dict[Any, Any] = (
            item.get("additional_answers") or {} if isinstance(item, dict) else {}
        )
        if not more:
            continue
        prompt, turns = _read_turns(f"{path}: story {number}", item)
        people = [sorted(answers, key=lambda turn: turn["turn_id"]) for answers in more.values()]
        for at, (question, answer) in enumerate(turns):
            asked, told = _turn(question, answer)
            prompt += asked
            yield prompt, tuple(str(one[at]["input_text"]) for one in people if at < len(one))
            prompt += told


def _turn(question: str, answer: str) -> tuple[str, str]:
    return f"\nQ: {question}\nA:", f" {answer}"


def _read_turns(place: str, item: Any) -> tuple[str, list[tuple[str, str]]]:
    """Return a story and its turns; raises DataError for another schema."""
    try:
        questions = {turn["turn_id"]: str(turn["input_text"]) for turn in item["questions"]}
        answers = {turn["turn_id"]: str(turn["input_text"]) for turn in item["answers"]}
        story = str(item["story"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{place} is not in CoQA's schema ({error} is missing).") from None
    if questions.keys() != answers.keys():
        raise DataError(f"{place} has {len(questions)} questions, but {len(answers)} answers.")
    order = sorted(questions)
    return story.strip(), [(questions[i].strip(), answers[i].strip()) for i in order]


def _fields(item: Any) -> dict[str, str]:
    return {name: str(item[name]) for name in ("source", "id") if name in item}
