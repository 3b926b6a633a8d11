"""Blind votes between the texts of models: which are shown, what was chosen, who wins.

Votes are lines of a JSONL file that is only appended to; a page and a terminal may write the same
one. No torch.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from penwright.errors import DataError
from penwright.files import disk_errors
from penwright.wording import count

Choice = Literal["left", "right", "tie"]
_Z = 1.959964  # the normal quantile of a 95 % interval


@dataclass(frozen=True)
class Pair:
    """Two models' texts for one prompt. Whoever votes sees no names; chance chose the sides."""

    key: str
    prompt: str
    left: str
    right: str
    left_model: str
    right_model: str


@dataclass(frozen=True)
class WinRate:
    """The share of votes for `first` over `second`, without ties, with its interval."""

    first: str
    second: str
    wins: int
    losses: int
    ties: int

    @property
    def rate(self) -> float | None:
        """The share of wins; None before the first vote that is no tie."""
        votes = self.wins + self.losses
        return self.wins / votes if votes else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the rate (Wilson, 1927); all of [0, 1] without votes."""
        votes, rate = self.wins + self.losses, self.rate
        if rate is None:
            return 0.0, 1.0
        centre = (rate + _Z**2 / (2 * votes)) / (1 + _Z**2 / votes)
        half = math.sqrt(rate * (1 - rate) / votes + _Z**2 / (4 * votes**2))
        half *= _Z / (1 + _Z**2 / votes)
        return max(0.0, centre - half), min(1.0, centre + half)

    @property
    def settled(self) -> bool:
        """Whether the interval excludes an equal chance."""
        low, high = self.interval
        return not low <= 0.5 <= high

    @property
    def votes_to_settle(self) -> int | None:
        """Number of further votes like these that settle it; None at a tie or before any vote."""
        rate = self.rate
        if rate is None or rate == 0.5:
            return None
        # Wilson's interval excludes 1/2 from this number of votes on.
        needed = math.floor(_Z**2 * 0.25 / (rate - 0.5) ** 2) + 1
        return max(0, needed - self.wins - self.losses)

    def __str__(self) -> str:
        if self.rate is None:
            return f"{self.first} and {self.second}: no votes yet."
        low, high = self.interval
        said = (
            f"{self.first} is preferred to {self.second} in {self.rate:.0%} of "
            f"{count(self.wins + self.losses, 'vote')} (95 %: {low:.0%} to {high:.0%}), "
            f"{count(self.ties, 'tie')}."
        )
        if self.settled:
            return f"{said} That settles it."
        more = self.votes_to_settle
        if more is None:
            return f"{said} So far they are equally good."
        return f"{said} About {more:,} more votes like these would settle it."

    def as_json(self) -> dict[str, Any]:
        """Return the counts and what follows from them."""
        return {
            "first": self.first,
            "second": self.second,
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "rate": self.rate,
            "interval": self.interval,
            "votes_to_settle": self.votes_to_settle,
        }


def count_votes(file: Path, first: str, second: str) -> WinRate:
    """Count the votes in a file between two models, over all texts that they were asked about.

    Raises DataError for a line that is no vote.
    """
    counts = {first: 0, second: 0, "": 0}
    for record in _read_votes(file).values():
        if {record["left"], record["right"]} == {first, second}:
            counts[record.get(record["choice"], "")] += 1
    return WinRate(first, second, counts[first], counts[second], counts[""])


def _read_votes(file: Path) -> dict[str, dict[str, Any]]:
    """Return the last vote of each pair by its key; raises DataError for a line that is none."""
    found: dict[str, dict[str, Any]] = {}
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            found[record["pair"]] = {key: record[key] for key in ("left", "right", "choice")}
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{file}:{number} is no vote.", fix="Delete it.") from None
    return found


class Ballot:
    """The pairs to vote on, in an order drawn by the seed, and the votes in `file`."""

    def __init__(
        self, file: Path, models: Sequence[str], texts: Sequence[Mapping[str, Any]], seed: int = 0
    ) -> None:
        """`texts` are {"prompt": str, "texts": [one of each model]}; equal ones are no pair."""
        self.file = file
        self.models = tuple(models)
        pairs = [
            _make_pair(str(item["prompt"]), models, item["texts"], first, second)
            for item in texts
            for first, second in combinations(range(len(models)), 2)
            if item["texts"][first].strip() != item["texts"][second].strip()
        ]
        random.Random(seed).shuffle(pairs)
        self.pairs = {pair.key: pair for pair in pairs}
        # Other votes are of texts that have changed since.
        self.votes: dict[str, Choice] = {
            key: vote["choice"] for key, vote in _read_votes(file).items() if key in self.pairs
        }

    def waiting(self) -> list[Pair]:
        """Return the pairs without a vote, in their order."""
        return [pair for key, pair in self.pairs.items() if key not in self.votes]

    def vote(self, key: str, choice: Choice) -> None:
        """Record a vote; raises DataError for a pair that is not there, OutOfRoomError."""
        if key not in self.pairs:
            raise DataError("These texts are not in this comparison.")
        pair = self.pairs[key]
        record = {
            "pair": key,
            "left": pair.left_model,
            "right": pair.right_model,
            "choice": choice,
            "prompt": pair.prompt,
        }
        with disk_errors(self.file):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self.votes[key] = choice

    def tally(self) -> list[WinRate]:
        """Return the win rate of each two models."""
        return [self._win_rate(*both) for both in combinations(self.models, 2)]

    def _win_rate(self, first: str, second: str) -> WinRate:
        counts = {first: 0, second: 0, "": 0}
        for key, choice in self.votes.items():
            pair = self.pairs[key]
            if {pair.left_model, pair.right_model} == {first, second}:
                chosen = {"left": pair.left_model, "right": pair.right_model, "tie": ""}[choice]
                counts[chosen] += 1
        return WinRate(first, second, counts[first], counts[second], counts[""])


def _make_pair(
    prompt: str, models: Sequence[str], texts: Sequence[str], first: int, second: int
) -> Pair:
    content = "\0".join((prompt, models[first], texts[first], models[second], texts[second]))
    digest = hashlib.sha256(content.encode()).digest()
    left, right = (first, second) if digest[-1] % 2 else (second, first)
    return Pair(digest.hex()[:16], prompt, texts[left], texts[right], models[left], models[right])
