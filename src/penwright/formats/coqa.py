"""CoQA: a story, and questions about it with their answers (Reddy et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from penwright.config import DataConfig
from penwright.document import Document, Source, Span, merge_spans
from penwright.errors import DataError, UsageError
from penwright.formats.clean.choose import AROUND, Size, tell_of_long
from penwright.formats.decode import find_encoding
from penwright.formats.json_records import read_items
from penwright.formats.reader import Choice, Input
from penwright.formats.rows import EVERYTHING
from penwright.wording import Warn

PARTS = ("story", "questions", "answers")

_MARKS = (b'"story"', b'"questions"', b'"input_text"')


@dataclass(frozen=True)
class CoqaReader:
    """A CoQA file in the schema of its first release."""

    choice: Choice
    data: DataConfig
    size: Size | None = None

    def documents(self, warn: Warn) -> Iterator[Document]:
        """A document a story: the story, then its turns, as many as there is room for.

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
    """Answers are learned unless --learn names story, questions, answers or all."""
    encoding = find_encoding(item.path, data.encoding)
    learn = PARTS if EVERYTHING in data.learn else data.learn or ("answers",)
    for name in learn:
        if name not in PARTS:
            raise UsageError(f"A CoQA file has no '{name}'.", fix=f"It has: {', '.join(PARTS)}.")
    says = f"a story, then its questions and answers; {' and '.join(learn)} learned"
    choice = Choice(
        item.path, "coqa", encoding, says=says, learn=learn, prompt_format="{prompt}\nA:"
    )
    return CoqaReader(choice, data)


def is_coqa(head: bytes) -> bool:
    """Return whether a JSON file begins as CoQA does."""
    return all(mark in head for mark in _MARKS)


def more_answers(path: str, encoding: str | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What stands before each answer in its document, and what other people answered there.

    The file of CoQA's development set has them, as `additional_answers`; others give nothing.
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
    """A story and its turns; raises DataError where the schema is another."""
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
