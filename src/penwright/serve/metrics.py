"""Count what the server does, and write it in Prometheus' text format."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penwright.serve.lane import Piece
    from penwright.serve.scheduler import Job

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the buckets of the histograms."""


class Histogram:
    """Durations in buckets, as Prometheus counts them."""

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._sum += seconds

    def lines(self, name: str) -> list[str]:
        """Return the lines of the histogram `name`."""
        ends = [*map(str, SECONDS), "+Inf"]
        totals = list(accumulate(self._counts))
        buckets = [f'{name}_bucket{{le="{e}"}} {t}' for e, t in zip(ends, totals, strict=True)]
        return [*buckets, f"{name}_sum {self._sum:.6f}", f"{name}_count {totals[-1]}"]


class Metrics:
    """Counters of one server. Only the scheduler's thread and the event loop change them."""

    def __init__(self) -> None:
        self.requests = 0
        self.prompt_tokens = 0
        self.generated_tokens = 0
        self.prefix_hits = 0
        self.prefix_hit_tokens = 0
        self.first_token = Histogram()
        self.between_tokens = Histogram()
        self._text_seconds = 1.0

    def count_request(self, prompt_tokens: int) -> None:
        """Count a request that was queued."""
        self.requests += 1
        self.prompt_tokens += prompt_tokens

    def count_shared(self, tokens: Sequence[int]) -> None:
        """Count the tokens that each entering text found in the cache, computed for another."""
        self.prefix_hits += sum(map(bool, tokens))
        self.prefix_hit_tokens += sum(tokens)

    def count_pieces(self, job: Job, pieces: Sequence[Piece], now: float) -> None:
        """Count the pieces of one step of a job."""
        for piece in pieces:
            self.generated_tokens += len(piece.tokens)
            if piece.finish_reason:
                self._text_seconds += 0.1 * (now - job.begun - self._text_seconds)
        if job.last_piece:
            most = max((len(piece.tokens) for piece in pieces), default=1)
            self.between_tokens.add((now - job.last_piece) / max(1, most))
        else:
            self.first_token.add(now - job.begun)
        job.last_piece = now

    def guess_seconds(self, waiting: int, places: int) -> float:
        """Return a guess at the seconds until `waiting` texts have found one of `places`."""
        return self._text_seconds * waiting / max(1, places)

    def render(self, gauges: Mapping[str, float]) -> str:
        """Return all counters, and these gauges, in Prometheus' text format."""
        counters = {
            "penwright_requests_total": self.requests,
            "penwright_prompt_tokens_total": self.prompt_tokens,
            "penwright_generated_tokens_total": self.generated_tokens,
            "penwright_prefix_hits_total": self.prefix_hits,
            "penwright_prefix_hit_tokens_total": self.prefix_hit_tokens,
        }
        lines: list[str] = []
        for name, value in counters.items():
            lines += [f"# TYPE {name} counter", f"{name} {value}"]
        for name, gauge in gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name} {gauge:g}"]
        for name, histogram in (
            ("penwright_time_to_first_token_seconds", self.first_token),
            ("penwright_time_between_tokens_seconds", self.between_tokens),
        ):
            lines += [f"# TYPE {name} histogram", *histogram.lines(name)]
        return "\n".join(lines) + "\n"
