"""Several takes of one sample: the likeliest counts, and a take with a fault is written again.

A take is an ordinary row with random numbers of its own, so a sample is still a pure function of
its index.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from penwright.config import SamplingConfig
from penwright.sample.batch import Event, Row
from penwright.sample.logits import is_certain
from penwright.sample.phrases import RequiredWords
from penwright.tokens.bpe import Tokenizer

FAR = 1 << 40
"""The indices of a sample's takes are this far apart."""
TRIES = 10
"""The most takes for each text that is wanted."""


def has_takes(sampling: SamplingConfig) -> bool:
    """Return whether a sample may have more than one take."""
    return sampling.best_of > 1 or bool(sampling.require) or sampling.on_loop == "retry"


class Takes:
    """The takes of samples, of which one counts."""

    def __init__(
        self,
        sampling: SamplingConfig,
        tokenizer: Tokenizer,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self._sampling = sampling
        self._tries = 1 if is_certain(sampling) else TRIES
        self._words = RequiredWords(sampling.require, tokenizer)
        self.waiting: deque[int] = deque()
        """The indices of takes to write."""
        self._warn = warn
        self._logprobs: dict[Row, float] = {}
        self._done: dict[int, list[tuple[int, float, Row]]] = {}

    def begin(self, index: int) -> None:
        """Ask for the first takes of a sample."""
        self.waiting += [index + number * TRIES * FAR for number in range(self._sampling.best_of)]

    def settle(self, events: Iterator[Event]) -> Iterator[Event]:
        """Yield one event for each sample: the row that counts, with its whole text."""
        for event in events:
            row = event.row
            if self._sampling.best_of > 1:
                new = sum(score.logprob for score in event.scores)
                self._logprobs[row] = self._logprobs.get(row, 0.0) + new
            if row.finish_reason and (best := self._finish(row)):
                yield Event(best, best.text.text, tuple(best.ids[best.prompt_length :]))

    def _finish(self, row: Row) -> Row | None:
        """Return the row that counts, once the last take of a sample is finished."""
        faults = len(self._words.missing(row.text.text))
        faults += row.finish_reason == "loop" and self._sampling.on_loop == "retry"
        if faults and row.index // FAR % TRIES < self._tries - 1:
            self.waiting.append(row.index + FAR)
        likeliness = self._logprobs.pop(row, 0.0) / max(1, row.written)
        done = self._done.setdefault(row.index % FAR, [])
        done.append((faults, -likeliness, row))
        ended = [
            one for one in done if not one[0] or one[2].index // FAR % TRIES + 1 == self._tries
        ]
        if len(ended) < self._sampling.best_of:
            return None
        del self._done[row.index % FAR]
        faults, _, best = min(done, key=lambda one: (*one[:2], one[2].index))
        if faults and self._warn:
            self._warn(self._explain(best))
        return best

    def _explain(self, row: Row) -> str:
        missing = [f"'{word}'" for word in self._words.missing(row.text.text)]
        fault = f"does not have {' and '.join(missing)}" if missing else "repeats itself"
        times = "" if self._tries == 1 else f" after {self._tries} tries"
        return f"Text {row.index % FAR + 1} {fault}{times}."
