"""Choose how many tokens to guess ahead of each pass of the native decoder; see native/c/guess.h.

A guess costs the time of one more token in a pass, and is worth a pass when it is right. Both are
measured, so the number of tokens a second is greatest, and nothing is guessed where none is worth
it.
"""

from __future__ import annotations

from penwright.native import MOST_GUESSES, Guessed

_RATE, _WEIGHT = 0.4, 8.0  # share of right guesses that is assumed at first, and of how many
_MEMORY = 500.0  # guesses, over which the share is a mean
_MORE = 0.1  # time of a guess over that of a plain pass, before it is known
_FORGETTING = 0.001
_FIRST = 4  # calls without guesses at first, so that one bad moment does not decide
_AGAIN = 48  # calls, after which the other choice is tried
_BETTER = 1.03  # writing without guesses is chosen only if it is this many times as fast


class Guessing:
    """Learns from each call how long the guesses should be."""

    def __init__(self) -> None:
        self._right, self._tried = _RATE * _WEIGHT, _WEIGHT
        self._seconds: dict[int, float] = {}
        self._calls = 0

    def choose(self) -> int:
        """Return the number of tokens to guess ahead in the next call; 0 for none."""
        self._calls += 1
        if self._calls <= _FIRST:
            return 0
        best = max(range(MOST_GUESSES + 1), key=self._speed)
        return int(not best) if self._calls % _AGAIN == 0 else best

    def note(self, length: int, went: Guessed, seconds: float) -> None:
        """Learn from a call that guessed `length` tokens ahead."""
        each = seconds / max(1, went.passes)
        self._seconds[length] = moving_mean(self._seconds.get(length, each), each)
        for other in self._seconds.keys() - {0, length}:  # a bad moment is forgotten some day
            hope = self._seconds[0] * (1 + _MORE * other)
            self._seconds[other] = moving_mean(self._seconds[other], hope, _FORGETTING)
        self._right += went.right
        self._tried += went.right + went.wrong
        if self._tried > _MEMORY:
            self._right *= _MEMORY / self._tried
            self._tried = _MEMORY

    def _speed(self, length: int) -> float:
        """Return the tokens a second to expect."""
        rate = self._right / self._tried
        tokens = sum(rate**n for n in range(length + 1))
        known = self._seconds.get(length)
        seconds = known or self._seconds[0] * (1 + _MORE * length)
        return tokens / seconds * (_BETTER if length else 1)


def moving_mean(old: float, new: float, weight: float = 0.1) -> float:
    """Return the exponential moving mean after a new value with this weight."""
    return old + weight * (new - old)
