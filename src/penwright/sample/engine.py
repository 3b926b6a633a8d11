"""Write texts: many at once (`generate`), or one as it comes (`stream`).

Every sample is a pure function of (model, prompt, settings, index): its random numbers come from
(seed, index) alone. Batch mates, batch size and order change nothing, but for rounding: in float32
two ways of computing agree token for token, unless the best two choices for a token, or the last
that a filter keeps and the first that it drops, are closer than 1e-4. `index` is `first_index +
number of the prompt * n + number of the text`, from 0 on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import torch

from penwright.config import SamplingConfig
from penwright.errors import OutOfRoomError, UsageError
from penwright.model import GPT2
from penwright.sample import beam, logits
from penwright.sample.batch import Batch, Event, Row, choose_rows
from penwright.sample.copy_limit import TrainingCopies
from penwright.sample.decoder import Source, as_source
from penwright.sample.drafts import Drafter
from penwright.sample.healing import Healed, heal
from penwright.sample.takes import FAR, Takes, has_takes
from penwright.sample.window import Seams, Window, measure_seams
from penwright.tokens.bpe import Tokenizer
from penwright.wording import Warn

FinishReason = Literal["end", "stop", "length", "loop"]


@dataclass(frozen=True)
class Sample:
    """A text that was written.

    `text` is the continuation alone, without special tokens, a stop text, or an unfinished last
    character. It finished with the document's end, before a stop text, at its greatest length, or
    as it repeated itself.
    `tokens` counts what was written: a stop text's tokens too, but not the end-of-text token.
    """

    prompt: str
    text: str
    finish_reason: FinishReason
    tokens: int
    seed: int
    index: int
    seams: Seams | None = field(default=None, compare=False)
    """What it cost that the window moved, for a text that is longer than the context."""


def generate(
    model: GPT2 | Source,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    n: int,
    sampling: SamplingConfig,
    *,
    batch_size: int | None = None,
    first_index: int = 0,
    drafter: Drafter | None = None,
    on_text: Callable[[int, str], None] | None = None,
    warn: Warn | None = None,
    training: TrainingCopies | None = None,
) -> list[Sample]:
    """Write `n` texts for each prompt; returns them by prompt, then by number.

    `on_text(index, piece)` gets each text as it grows, or as a whole where a sample has several
    takes. `warn(sentence)` hears of prompts that are longer than the model's context, of which the
    last part is read, and of those whose end is written again. `training` is needed for `max_copy`.
    `drafter` makes drafts for a text that is written alone. Raises UsageError for settings that
    cannot be, ModelError for a model that computes no numbers, OutOfRoomError.
    """
    done = write_each(
        model,
        tokenizer,
        prompts,
        n,
        sampling,
        batch_size=batch_size,
        first_index=first_index,
        drafter=drafter,
        on_text=on_text,
        warn=warn,
        training=training,
    )
    return sorted(done, key=lambda sample: sample.index)


def write_each(
    model: GPT2 | Source,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    n: int,
    sampling: SamplingConfig,
    *,
    batch_size: int | None = None,
    first_index: int = 0,
    drafter: Drafter | None = None,
    on_text: Callable[[int, str], None] | None = None,
    warn: Warn | None = None,
    training: TrainingCopies | None = None,
) -> Iterator[Sample]:
    """Write as `generate` does, but yield each sample as soon as it is finished."""
    logits.check(sampling)
    if n < 1:
        raise UsageError("n, the number of texts for a prompt, must be at least 1.")
    if batch_size is not None and batch_size < 1:
        raise UsageError("batch_size must be at least 1.")
    source = as_source(model)
    context = source.config.n_positions
    begun = [encode_prompt(context, tokenizer, prompt, sampling, warn) for prompt in prompts]
    if not begun:
        return
    if warn is not None:
        _tell_healed(prompts, begun, warn)
    numbers = (number for number in range(len(prompts)) for _ in range(n))
    texts = ((index, begun[number]) for index, number in enumerate(numbers, first_index))
    size = batch_size or choose_rows(source, [p.ids for p in begun], sampling.max_new_tokens)
    for event in _write(source, tokenizer, texts, n, sampling, size, training, drafter, warn):
        number = (event.row.index - first_index) % FAR
        if event.text and on_text is not None:
            on_text(first_index + number, event.text)
        if event.row.finish_reason:
            yield _finish(event.row, prompts[number // n], first_index + number, source)


def stream(
    model: GPT2 | Source,
    tokenizer: Tokenizer,
    prompt: str,
    sampling: SamplingConfig,
    *,
    index: int = 0,
    drafter: Drafter | None = None,
    warn: Warn | None = None,
    training: TrainingCopies | None = None,
) -> Generator[str, None, Sample]:
    """Write one text, piece by piece; the pieces are whole characters and joined make the text.

    The generator returns the Sample: `sample = yield from stream(...)`. Same errors as `generate`.
    """
    logits.check(sampling)
    source = as_source(model)
    begun = encode_prompt(source.config.n_positions, tokenizer, prompt, sampling, warn)
    if warn is not None:
        _tell_healed([prompt], [begun], warn)
    texts = iter([(index, begun)])
    for event in _write(source, tokenizer, texts, 1, sampling, 1, training, drafter, warn):
        if event.text:
            yield event.text
    return _finish(event.row, prompt, index, source)


def encode_prompt(
    context: int,
    tokenizer: Tokenizer,
    prompt: str,
    sampling: SamplingConfig,
    warn: Warn | None = None,
) -> Healed:
    """Return the end-of-text token and the prompt's tokens, as documents begin, and its last bytes
    if they are to be written again.
    """
    begun = Healed(tokenizer.encode_prompt(prompt), b"")
    if sampling.heal:
        begun = heal(prompt, begun.ids, tokenizer)
    count = len(begun.ids)
    if warn is not None and count > context:
        window = Window.of(context, tokenizer, sampling)
        kept = count - window.begin(begun.ids, sampling.max_new_tokens)
        warn(
            f"The prompt '{_shorten(prompt)}' has {count} tokens, but the model reads "
            f"{context} at most; only its last {kept} are used."
        )
    return begun


def _tell_healed(prompts: Sequence[str], begun: Sequence[Healed], warn: Warn) -> None:
    """Say which prompts end in what is written again."""
    healed = [prompt for prompt, one in zip(prompts, begun, strict=True) if one.again]
    if healed:
        where = "in a space" if healed[0][-1].isspace() else "inside a word"
        more = f", and {len(healed) - 1} more," if len(healed) > 1 else ""
        warn(
            f"The prompt '{_shorten_left(healed[0])}'{more} ends {where}; the model writes that "
            "end again, so that it becomes whole tokens (--no-heal leaves it)."
        )


def _write(
    source: Source,
    tokenizer: Tokenizer,
    texts: Iterator[tuple[int, Healed]],
    n: int,
    sampling: SamplingConfig,
    size: int,
    training: TrainingCopies | None,
    drafter: Drafter | None,
    warn: Warn | None,
) -> Iterator[Event]:
    """Write the texts of these indices and prompts, `n` for each prompt, at most `size` at once."""
    if sampling.num_beams > 1:
        return _with_room(_search(source, tokenizer, texts, n, sampling, training))
    takes = Takes(sampling, tokenizer, warn)
    window = Window.of(source.config.n_positions, tokenizer, sampling)
    rows = _make_rows(texts, takes, window, sampling)
    events = _run(Batch(source, tokenizer, training, drafter), rows, size)
    return takes.settle(_with_room(events)) if has_takes(sampling) else _with_room(events)


def _make_rows(
    texts: Iterator[tuple[int, Healed]], takes: Takes, window: Window, sampling: SamplingConfig
) -> Iterator[Row | None]:
    """Yield the rows to write, those of further takes first; None where none is waiting now."""
    prompts: dict[int, Healed] = {}
    scores = 0 if sampling.best_of > 1 else None
    while True:
        if not takes.waiting and (text := next(texts, None)):
            prompts[text[0] % FAR] = text[1]
            takes.begin(text[0])
        if takes.waiting:
            index = takes.waiting.popleft()
            begun = prompts[index % FAR]
            yield Row(index, begun.ids, window, sampling, scores, begun.again)
        else:
            yield None


def _run(batch: Batch, waiting: Iterator[Row | None], size: int) -> Iterator[Event]:
    """Write the waiting rows, at most `size` at once; yields what is new of each.

    Raises the error of a row that cannot go on.
    """
    while True:
        entering: list[Row] = []
        while len(batch.rows) + len(entering) < size and (row := next(waiting)):
            if row.finish_reason:
                yield Event(row)
            else:
                entering.append(row)
        if entering:
            batch.enter(entering)
        if not batch.rows:
            return
        for event in batch.step():
            if event.row.error is not None:
                raise event.row.error
            yield event


def _search(
    source: Source,
    tokenizer: Tokenizer,
    texts: Iterator[tuple[int, Healed]],
    n: int,
    sampling: SamplingConfig,
    training: TrainingCopies | None,
) -> Iterator[Event]:
    """Yield the `n` best texts of a beam search for each prompt, each as a whole."""
    if n > sampling.num_beams:
        raise UsageError(
            f"{sampling.num_beams} beams find at most {sampling.num_beams} texts for a prompt.",
            fix=f"Give --num-beams {n} or more.",
        )
    window = Window.of(source.config.n_positions, tokenizer, sampling)
    while alike := list(itertools.islice(texts, n)):
        begun = alike[0][1]
        found = beam.search(source, tokenizer, begun.ids, sampling, training, begun.again)
        for (index, _), tokens in zip(alike, found, strict=False):
            row = Row(index, begun.ids, window, sampling, healing=begun.again)
            text = "".join([row.push(token, tokenizer) for token in tokens])
            yield Event(row, text, tuple(row.ids[row.prompt_length :]))


def _with_room(events: Iterator[Event]) -> Iterator[Event]:
    try:
        yield from events
    except torch.OutOfMemoryError as error:
        raise OutOfRoomError(
            "The device has too little memory to write so many texts at once.",
            fix="Give a smaller --batch-size; it does not change the texts.",
        ) from error


def _finish(row: Row, prompt: str, index: int, source: Source) -> Sample:
    return Sample(
        prompt=prompt,
        text=row.text.text,
        finish_reason=cast(FinishReason, row.finish_reason),
        tokens=row.written,
        seed=row.sampling.seed,
        index=index,
        seams=measure_seams(source, row.window, row.ids, row.seams),
    )


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:40].rstrip()}…"


def _shorten_left(text: str) -> str:
    line = " ".join(text.splitlines())
    return line if len(line) <= 40 else f"…{line[-40:].lstrip()}"
