"""Judge a data set: one sentence for each fault, and the option that mends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penwright.doctor.survey import FAULTS, Costly, Int64, Survey
from penwright.wording import count

FEW_TOKENS = 10_000
"""With fewer learned tokens than this, any model soon memorises the text."""
PARAMETERS_A_TOKEN = 10_000
"""With more parameters per learned token, a model memorises the text in an epoch or two."""
FEW_DOCUMENTS = 10
HUGE = 1_000_000
"""A document of more characters is probably several in one."""
SHORT_WORDS = 3
SHORT_SHARE = 0.1
LONG_SHARE = 0.2
BLANK_SHARE = 0.2
COSTLY_SHARE = 0.005


@dataclass(frozen=True)
class Finding:
    """A fault: its name, a sentence, the remedy, and the first places where it occurs."""

    name: str
    says: str
    fix: str
    count: int = 1
    places: tuple[str, ...] = ()
    change: Mapping[str, Any] = field(default_factory=dict)
    """The options of `finetune` that do what `fix` says; empty where no option can."""


@dataclass(frozen=True)
class RepeatedPassage:
    """A passage that stands in the data already: its place, and that of the first."""

    place: str
    first: str
    tokens: int
    """Its tokens that hold a letter or a digit."""
    text: str
    """The beginning of it."""


@dataclass(frozen=True)
class RepeatedPassages:
    """The passages of at least `min_tokens` tokens that repeat an earlier one exactly."""

    min_tokens: int
    count: int
    share: float
    """Share of the data's tokens."""
    longest: tuple[RepeatedPassage, ...]
    """The longest of them, at most a thousand."""


@dataclass(frozen=True)
class DataFacts:
    """The measurements that findings are drawn from."""

    survey: Survey
    tokens: Int64
    """Tokens of each document."""
    learned: int
    length: int
    """Tokens in a row."""
    packed: bool
    blank: float
    """Share of tokens that are only white space."""
    costly: tuple[Costly, ...]
    duplicates: Sequence[tuple[int, int]]
    passages: RepeatedPassages
    near: Sequence[tuple[int, int]]
    leaks: Sequence[int]
    """Numbers of held-out documents that are trained on."""
    parameters: int | None
    warnings: Sequence[str]


def draw(facts: DataFacts) -> tuple[Finding, ...]:
    """Return all findings, the most serious first."""
    return (
        *(Finding("reading", text, "") for text in facts.warnings),
        *_repeats(facts),
        *_size(facts),
        *_lengths(facts),
        *_texts(facts),
        *_tokens(facts),
    )


def _repeats(facts: DataFacts) -> Iterator[Finding]:
    place, total = facts.survey.place, len(facts.survey)
    if facts.leaks:
        yield Finding(
            "leakage",
            _say(len(facts.leaks), "stand in the training part too, so", kind="held-out")
            + " the held-out perplexity will look better than it is.",
            "Move them to the training part with --fix, or leave all repeated documents out with "
            "--drop-duplicates.",
            len(facts.leaks),
            tuple(map(place, facts.leaks[:5])),
            {"fix": True},
        )
    if facts.duplicates:
        yield Finding(
            "duplicates",
            _say(len(facts.duplicates), "repeat an earlier one exactly.", total),
            "Leave them out with --drop-duplicates.",
            len(facts.duplicates),
            tuple(f"{place(b)} repeats {place(a)}" for a, b in facts.duplicates[:5]),
            {"drop_duplicates": True},
        )
    if facts.passages.count:
        found = facts.passages
        yield Finding(
            "repeated passages",
            f"{count(found.count, 'passage', 'repeats')} an earlier one of "
            f"{count(found.min_tokens, 'token')} or more exactly: {found.share:.1%} of the data.",
            f"Keep only the first of each with --drop-repeats {found.min_tokens}, unless the text "
            "should repeat itself.",
            found.count,
            tuple(
                f"{one.place} repeats {one.first} ({count(one.tokens, 'token')})"
                for one in found.longest[:5]
            ),
            {"drop_repeats": found.min_tokens},
        )
    if facts.near:
        yield Finding(
            "near duplicates",
            _say(len(facts.near), "are nearly the same as an earlier one.", total),
            "Keep one of each with --drop-near 0.8, or the model will memorise them.",
            len(facts.near),
            tuple(f"{place(b)} is like {place(a)}" for a, b in facts.near[:5]),
            {"drop_near": 0.8},
        )


def _size(facts: DataFacts) -> Iterator[Finding]:
    documents, learned = len(facts.survey), facts.learned
    if facts.parameters is not None and facts.parameters > learned * PARAMETERS_A_TOKEN:
        yield Finding(
            "too little data",
            f"Only {count(learned, 'learned token')} for a model of {facts.parameters:,} "
            "parameters: it will memorise the text.",
            "Add text, or take a smaller model (--model), or stop early with --epochs 1.",
            change={"epochs": 1.0},
        )
    elif learned < FEW_TOKENS:
        yield Finding(
            "too little data",
            f"Only {count(learned, 'learned token')}: the model will memorise the text.",
            "Add text, ten times as much if you can.",
        )
    if 1 < documents < FEW_DOCUMENTS:
        yield Finding(
            "few documents",
            f"{documents} documents are too few to hold some out and measure well.",
            "Add more, or cut a plain text into more with --documents paragraph.",
            change={"documents": "paragraph"},
        )


def _lengths(facts: DataFacts) -> Iterator[Finding]:
    survey, total = facts.survey, len(facts.survey)
    huge = [int(i) for i in (survey.characters >= HUGE).nonzero()[0]]
    if huge:
        yield Finding(
            "huge documents",
            _say(len(huge), "have a million characters or more: perhaps many in one file."),
            "Say where documents end: --documents paragraph, or --split-at '(?m)^(?=CHAPTER )'.",
            len(huge),
            tuple(map(survey.place, huge[:5])),
            {"documents": "paragraph"},
        )
    long = [int(i) for i in (facts.tokens + 1 > facts.length).nonzero()[0]]
    if total > 1 and len(long) > LONG_SHARE * total and facts.packed:
        yield Finding(
            "long documents",
            _say(len(long), f"are longer than the {facts.length:,} tokens that are seen", total)
            + " at once; the rest is in further rows.",
            "Cut them shorter with --documents or --max-words, or allow more with --max-length.",
            len(long),
            tuple(map(survey.place, long[:5])),
        )
    short = [int(i) for i in (survey.words < SHORT_WORDS).nonzero()[0]]
    if total >= FEW_DOCUMENTS and len(short) > SHORT_SHARE * total:
        yield Finding(
            "short documents",
            _say(len(short), f"have fewer than {SHORT_WORDS} words.", total),
            "See whether documents are cut where they should be (--documents).",
            len(short),
            tuple(map(survey.place, short[:5])),
        )
    if survey.torn:
        yield Finding(
            "torn words",
            _say(len(survey.torn), "begin in the middle of a line, right after a letter."),
            "Put <|endoftext|> between documents, not inside a sentence, or cut elsewhere with "
            "--documents.",
            len(survey.torn),
            tuple(map(survey.place, survey.torn[:5])),
        )


def _texts(facts: DataFacts) -> Iterator[Finding]:
    faults, total = facts.survey.faults, len(facts.survey)
    words = max(int(facts.survey.words.sum()), 1)
    for name, fault in FAULTS.items():
        found = faults.documents[name]
        if found and faults.hits[name] > fault.share * words:
            says = _say(found, f"{fault.says}.", total)
            change = {"clean": [fault.step]} if fault.step else {}
            yield Finding(name, says, fault.fix, found, tuple(faults.places[name]), change)
    glued, alone = faults.documents["glued"], faults.documents["no prompt"]
    if glued:
        yield Finding(
            "glued",
            _say(glued, "have no space between prompt and completion.", total),
            "Leave out --separator '', or put a space or line break into it.",
            glued,
            tuple(faults.places["glued"]),
        )
    if alone and faults.documents["prompt"]:
        yield Finding(
            "no prompt",
            _say(alone, "have no prompt, though the others do.", total),
            "Fill the prompts in, or take these rows out; --learn all learns them as they are.",
            alone,
            tuple(faults.places["no prompt"]),
            {"learn": ["all"]},
        )


def _tokens(facts: DataFacts) -> Iterator[Finding]:
    if facts.blank > BLANK_SHARE:
        yield Finding(
            "white space",
            f"{facts.blank:.0%} of the tokens are only white space.",
            "Squeeze it with --clean whitespace, unless it is the form that should be learned.",
            change={"clean": ["whitespace"]},
        )
    total = max(int(facts.tokens.sum()), 1)
    spent = sum(item.tokens * item.count for item in facts.costly)
    if spent > COSTLY_SHARE * total:
        shown = " ".join(item.character for item in facts.costly[:10])
        yield Finding(
            "costly characters",
            f"{spent / total:.0%} of the tokens spell characters that this tokenizer has no "
            f"token for: {shown}",
            "Take them out of the text if they are not part of it. Else, to train a model from "
            "nothing, train a tokenizer on it: penwright tokenizer train DATA -o DIR.",
        )


def _say(n: int, says: str, total: int | None = None, kind: str = "") -> str:
    """Return `3 of 9 documents hold tags` or `1 document holds tags` for `hold tags`."""
    verb, _, rest = says.partition(" ")
    if n == 1:
        verb = {"have": "has", "are": "is"}.get(verb, f"{verb}s")
    noun = f"{kind} document".lstrip()
    some = count(n, noun) if total is None else f"{n:,} of {count(total, noun)}"
    return f"{some} {verb} {rest}".rstrip()
