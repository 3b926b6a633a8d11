"""Measure how fast text is written, and how near that is to the limit of the machine."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from penwright.compute import calibration_file, read_bandwidth
from penwright.sample import Sample
from penwright.wording import count

if TYPE_CHECKING:
    from penwright.verbs.generate import Writer

Yielded = TypeVar("Yielded")


@dataclass
class Meter:
    """The tokens that a Writer has written, and the time that it took, prompts included."""

    tokens: int = 0
    seconds: float = 0.0
    alone: bool = True
    """Whether there was never more than one text at once."""

    def time(self, pieces: Generator[Yielded, None, Sample] | Iterator[Sample]) -> Any:
        """Yield and return what `pieces` does, and count the samples among that."""
        while True:
            begin = time.perf_counter()
            try:
                piece = next(pieces)
            except StopIteration as finished:
                self._count(finished.value)
                return finished.value
            finally:
                self.seconds += time.perf_counter() - begin
            self._count(piece)
            yield piece

    def _count(self, piece: object) -> None:
        if isinstance(piece, Sample):
            self.tokens += piece.tokens


@dataclass(frozen=True)
class Speed:
    """The speed of a Writer."""

    tokens: int
    seconds: float
    tokens_per_s: float
    weights: str
    share_of_bandwidth: float | None
    """Bytes of weights read in a second, over what the machine reads from memory; None for several
    texts at once."""
    drafted: int
    """Tokens that were guessed."""
    accepted: int
    """Those of them that were right."""
    corpus: str = ""
    """Why the training text gave no guesses."""

    def __str__(self) -> str:
        share, limit = self.share_of_bandwidth, ""
        if share is not None:
            limit = f", {100 * share:.0f} % of what reading memory allows"
            if share > 1:
                limit = ", faster than memory is read: they stay in the processor's cache"
        guesses = "no tokens were guessed"
        if self.drafted:
            guesses = f"{self.accepted:,} of {count(self.drafted, 'guessed token')} were right"
        without = f" (none from the training text: {self.corpus})" if self.corpus else ""
        return (
            f"{count(self.tokens, 'token')} in {self.seconds:.1f} s: {self.tokens_per_s:,.1f} "
            f"tokens/s with {self.weights} weights{limit}; {guesses}{without}."
        )

    def as_json(self) -> dict[str, Any]:
        """Return the record for a program."""
        return asdict(self)


def measure_speed(writer: Writer) -> Speed:
    """Return how fast a Writer wrote since it was opened."""
    meter, drafter = writer.meter, writer.drafter
    seconds = max(meter.seconds, 1e-9)
    drafted, accepted = (drafter.drafted, drafter.accepted) if drafter else (0, 0)
    share = None
    if meter.alone and writer.source.device.type == "cpu":
        passes = meter.tokens - accepted
        read = writer.source.n_bytes * passes / seconds
        share = read / read_bandwidth(calibration_file())
    corpus = drafter.corpus if drafter else None
    return Speed(
        meter.tokens,
        meter.seconds,
        meter.tokens / seconds,
        writer.source.weights,
        share,
        drafted,
        accepted,
        corpus.says if corpus and corpus.index is None else "",
    )
