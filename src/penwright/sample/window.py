"""Place the window, the part of a text that the model reads, and measure what moving it costs.

A text may have any length; the model reads at most its context. A window is the pinned text, if
any, and the text from `start` on. When it is full, it moves: its new start is that of a paragraph,
if one lies in reach, and the kept text is computed again from there. All of it is a pure function
of the text, so every way of writing sees the same windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from penwright.config import SamplingConfig
from penwright.errors import UsageError
from penwright.sample.decoder import Source
from penwright.tokens.bpe import Tokenizer
from penwright.wording import count

MEASURED = 8
"""Number of seams of a text that are measured."""
AFTER = 64
"""Number of tokens after a seam that are measured."""


@dataclass(frozen=True)
class Window:
    """The windows of a text: `context` tokens at most, with `head` at the top of each.

    `head` is the pinned text after an end-of-text token, as documents begin; without one, nothing.
    """

    context: int
    tokenizer: Tokenizer
    head: tuple[int, ...] = ()

    @classmethod
    def of(cls, context: int, tokenizer: Tokenizer, sampling: SamplingConfig) -> Window:
        """Return the window for these settings.

        Raises UsageError for a pinned text that takes more than half of the context.
        """
        text = "".join(f"{pin.rstrip()}\n\n" for pin in sampling.pin)
        head = tuple(tokenizer.encode_prompt(text)) if text else ()
        if len(head) > context // 2:
            raise UsageError(
                f"The pinned text has {len(head) - 1} tokens, more than half of the {context} that "
                "the model reads at once.",
                fix="Give a shorter --pin.",
            )
        return cls(context, tokenizer, head)

    @property
    def room(self) -> int:
        """Number of the text's own tokens in a window."""
        return self.context - len(self.head)

    def read(self, ids: Sequence[int], start: int) -> list[int]:
        """Return the tokens of the window of the text `ids` that starts at `start`."""
        return [*self.head, *ids[start:]]

    def begin(self, ids: Sequence[int], max_new: int) -> int:
        """Return the start of the window of a prompt.

        A prompt that fits is read whole. Of a longer one only the end is read, with room left to
        write `max_new` tokens, or half the window if they need more.
        """
        # The end-of-text token before the text stands before the pinned text instead.
        first = int(bool(self.head) and list(ids[:1]) == [self.tokenizer.eot_id])
        if len(ids) - first <= self.room:
            return first
        lowest = len(ids) - max(1, self.room - min(max_new, self.room // 2))
        return self._snap(ids, range(lowest, min(len(ids) - 1, lowest + self.room // 4) + 1))

    def follow(self, start: int, ids: Sequence[int]) -> int:
        """Return the start of the window once the text is `ids`.

        It stays until the window is full; then the last half is kept, and up to a quarter more to
        begin with a paragraph.
        """
        if len(ids) - start <= self.room:
            return start
        half = len(ids) - max(1, self.room // 2)
        return self._snap(ids, range(half, max(start, half - self.room // 4 - 1), -1))

    def _snap(self, ids: Sequence[int], places: range) -> int:
        """Return the first place after a blank line, else after a line end, else the first."""
        for end in (b"\n\n", b"\n"):
            for place in places:
                if self.tokenizer.decode_bytes(ids[max(0, place - 2) : place]).endswith(end):
                    return place
        return places[0]


@dataclass(frozen=True)
class Seams:
    """The cost of moving the window: perplexity of the tokens after a seam, in two contexts."""

    count: int
    """How often the window moved."""
    measured: int
    """How many of these seams were measured."""
    perplexity: float
    """Of the tokens after a seam, in the window that they were written in."""
    longest: float
    """Of the same tokens, in the longest context that the model has."""

    def __str__(self) -> str:
        return (
            f"The context moved {count(self.count, 'time')}. Perplexity after a move is "
            f"{self.perplexity:.2f}; with the longest context it would be {self.longest:.2f}."
        )


def measure_seams(
    source: Source, window: Window, ids: Sequence[int], seams: Sequence[tuple[int, int]]
) -> Seams | None:
    """Measure at most `MEASURED` of a text's seams; None if there are none.

    A seam is the length of the text when the window moved, and the window's new start.
    """
    if not seams:
        return None
    # Only tokens that were written before the window moved again.
    ends = [length for length, _ in seams[1:]] + [len(ids)]
    known = [
        (length, start, min(length + AFTER, end))
        for (length, start), end in zip(seams, ends, strict=True)
        if end > length
    ]
    chosen = known[:: math.ceil(len(known) / MEASURED)] if known else []
    if not chosen:
        return None
    new, longest = [], []
    for length, start, end in chosen:
        after = ids[length:end]
        new.append((window.read(ids[:length], start), after))
        lowest = max(0, end - 1 - window.room)  # the last token is not read
        longest.append((window.read(ids[:length], lowest), after))
    return Seams(len(seams), len(chosen), _perplexity(source, new), _perplexity(source, longest))


def _perplexity(source: Source, texts: Iterable[tuple[Sequence[int], Sequence[int]]]) -> float:
    """Return the perplexity of the second parts behind the first ones."""
    found: list[torch.Tensor] = []
    for before, after in texts:
        decoder = source.decoder()
        decoder.enter([before[:-1]])
        logits_NV = decoder.feed([[before[-1], *after[:-1]]], every=True)
        after_N1 = torch.tensor(after, device=logits_NV.device)[:, None]
        found.append(logits_NV.log_softmax(-1).gather(1, after_N1)[:, 0])
    return math.exp(-float(torch.cat(found).double().mean()))
