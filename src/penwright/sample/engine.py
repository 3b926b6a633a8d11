"""Write texts: many at once (`generate`), or one as it comes (`stream`).

Every sample is a pure function of (model, prompt, settings, index): its random numbers come from
(seed, index) alone. Batch mates, batch size and order change nothing, but for rounding: in float32
two ways of computing agree token for token, unless the best two choices for a token are closer
than 1e-4. `index` is `first_index + number of the prompt * n + number of the text`, from 0 on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch

from penwright.config import SamplingConfig
from penwright.errors import OutOfRoomError, UsageError
from penwright.model import GPT2
from penwright.sample import beam, logits
from penwright.sample.batch import Batch, Event, Row, choose_rows
from penwright.sample.decoder import Source, as_source
from penwright.tokens.bpe import Tokenizer

FinishReason = Literal["end", "stop", "length"]


@dataclass(frozen=True)
class Sample:
    """A text that was written.

    `text` is the continuation alone, without special tokens, a stop text, or an unfinished last
    character. It finished with the document's end, before a stop text, or at its greatest length.
    `tokens` counts what was written: a stop text's tokens too, but not the end-of-text token.
    """

    prompt: str
    text: str
    finish_reason: FinishReason
    tokens: int
    seed: int
    index: int


def generate(
    model: GPT2 | Source,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    n: int,
    sampling: SamplingConfig,
    *,
    batch_size: int | None = None,
    first_index: int = 0,
    on_text: Callable[[int, str], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> list[Sample]:
    """Write `n` texts for each prompt; returns them by prompt, then by number.

    `on_text(index, piece)` gets each text as it grows. `warn(sentence)` hears of prompts that are
    longer than the model's context, of which the last part is read. Raises UsageError for settings
    that cannot be, ModelError for a model that computes no numbers, OutOfRoomError.
    """
    done = write_each(
        model,
        tokenizer,
        prompts,
        n,
        sampling,
        batch_size=batch_size,
        first_index=first_index,
        on_text=on_text,
        warn=warn,
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
    on_text: Callable[[int, str], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Iterator[Sample]:
    """Write as `generate` does, but yield each sample as soon as it is finished."""
    logits.check(sampling)
    if n < 1:
        raise UsageError("n, the number of texts for a prompt, must be at least 1.")
    if batch_size is not None and batch_size < 1:
        raise UsageError("batch_size must be at least 1.")
    source = as_source(model)
    context = source.config.n_positions
    ids = [encode_prompt(context, tokenizer, prompt, sampling, warn) for prompt in prompts]
    if not ids:
        return
    if sampling.num_beams > 1:
        events = _search(source, tokenizer, ids, n, sampling, first_index)
    else:
        size = batch_size or choose_rows(source, ids, sampling.max_new_tokens)
        waiting = (
            Row(first_index + number * n + i, ids[number], context, sampling)
            for number in range(len(prompts))
            for i in range(n)
        )
        events = _run(Batch(source, tokenizer), waiting, size)
    for event in _with_room(events):
        row = event.row
        if event.text and on_text is not None:
            on_text(row.index, event.text)
        if row.finish_reason:
            yield _finish(row, prompts[(row.index - first_index) // n], sampling)


def stream(
    model: GPT2 | Source,
    tokenizer: Tokenizer,
    prompt: str,
    sampling: SamplingConfig,
    *,
    index: int = 0,
    warn: Callable[[str], None] | None = None,
) -> Generator[str, None, Sample]:
    """Write one text, piece by piece; the pieces are whole characters and joined make the text.

    The generator returns the Sample: `sample = yield from stream(...)`. Same errors as `generate`.
    """
    logits.check(sampling)
    source = as_source(model)
    context = source.config.n_positions
    ids = encode_prompt(context, tokenizer, prompt, sampling, warn)
    if sampling.num_beams > 1:
        events = _search(source, tokenizer, [ids], 1, sampling, index)
    else:
        row = Row(index, ids, context, sampling)
        events = _run(Batch(source, tokenizer), iter([row]), 1)
    for event in _with_room(events):
        if event.text:
            yield event.text
    return _finish(event.row, prompt, sampling)


def encode_prompt(
    context: int,
    tokenizer: Tokenizer,
    prompt: str,
    sampling: SamplingConfig,
    warn: Callable[[str], None] | None = None,
) -> list[int]:
    """Return the end-of-text token and the prompt's tokens, as documents begin."""
    ids = tokenizer.encode_prompt(prompt)
    if warn is not None and len(ids) > context:
        kept = len(ids) - Row(0, ids, context, sampling).start
        warn(
            f"The prompt '{_shorten(prompt)}' has {len(ids)} tokens, but the model reads "
            f"{context} at most; only its last {kept} are used."
        )
    return ids


def _run(batch: Batch, waiting: Iterator[Row], size: int) -> Iterator[Event]:
    """Write the waiting rows, at most `size` at once; yields what is new of each.

    Raises the error of a row that cannot go on.
    """
    more = True
    while True:
        entering: list[Row] = []
        while more and len(batch.rows) + len(entering) < size:
            row = next(waiting, None)
            if row is None:
                more = False
            elif row.finish_reason:
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
    prompts: Sequence[list[int]],
    n: int,
    sampling: SamplingConfig,
    first_index: int,
) -> Iterator[Event]:
    """Yield the `n` best texts of a beam search for each prompt, each as a whole."""
    if n > sampling.num_beams:
        raise UsageError(
            f"{sampling.num_beams} beams find at most {sampling.num_beams} texts for a prompt.",
            fix=f"Give --num-beams {n} or more.",
        )
    for number, prompt in enumerate(prompts):
        for i, tokens in enumerate(beam.search(source, tokenizer, prompt, sampling)[:n]):
            row = Row(first_index + number * n + i, prompt, source.config.n_positions, sampling)
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


def _finish(row: Row, prompt: str, sampling: SamplingConfig) -> Sample:
    return Sample(
        prompt=prompt,
        text="".join(row.pieces),
        finish_reason=cast(FinishReason, row.finish_reason),
        tokens=row.written,
        seed=sampling.seed,
        index=row.index,
    )


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:40].rstrip()}…"
