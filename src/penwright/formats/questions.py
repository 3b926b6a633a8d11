"""Questions about texts in SQuAD's schemas as rows (Rajpurkar et al. 2016, 1606.05250)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penwright.errors import DataError

QUESTION_COLUMNS = ("context", "question", "answer")

QUESTION_TEMPLATE = "{context}\nQ: {question}\nA: {answer}"


def expand_questions(place: str, values: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield a row for each question of an article; a record of another kind as it is.

    An article has `paragraphs` with a `context` and `qas` (SQuAD's own files), or a record has
    `context`, `question` and `answers` with its texts (its tables on the Hub). The first of
    several answers is taken; a question without any has an empty one. Raises DataError for an
    article in another schema.
    """
    paragraphs, answers = values.get("paragraphs"), values.get("answers")
    texts = answers.get("text") if isinstance(answers, dict) else None
    if isinstance(paragraphs, list) and any(isinstance(p, dict) and "qas" in p for p in paragraphs):
        try:
            yield from _article(values.get("title"), paragraphs)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{place} is not in SQuAD's schema ({error}).",
                fix="A paragraph has a context and qas, each with a question and answers.",
            ) from None
    elif "question" in values and isinstance(texts, list):
        others = {name: value for name, value in values.items() if name != "answers"}
        yield {**others, "answer": next(iter(texts), "")}
    else:
        yield values


def _article(title: object, paragraphs: list[Any]) -> Iterator[dict[str, object]]:
    for paragraph in paragraphs:
        for asked in paragraph["qas"]:
            answer = next((found["text"] for found in asked.get("answers") or ()), "")
            row = {
                "title": title,
                "context": paragraph["context"],
                "question": asked["question"],
                "answer": answer,
            }
            yield row | ({"id": asked["id"]} if "id" in asked else {})
