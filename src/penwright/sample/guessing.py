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
_LEARNING = 0.25  # weight of a new measurement of that time
_FIRST = 4  # calls without guesses at first, so that one bad moment does not decide
_AGAIN = 32  # calls, after which the other choice is tried
_BETTER = 1.02  # guesses are chosen only if writing with them is this many times as fast


class Guessing:
    """Learns from each call how long the guesses should be.

    The speed of a machine's memory changes, so the time of a guess is measured in two calls that
    follow each other, one with guesses and one without.
    """

    def __init__(self) -> None:
        self._right, self._tried = _RATE * _WEIGHT, _WEIGHT
        self._more = _MORE
        self._last = (0, 0.0)  # the length of the last call, and the time of its passes
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
        last, before = self._last
        if bool(length) != bool(last) and before:
            with_guesses, without = (each, before) if length else (before, each)
            more = max(0.0, with_guesses / without - 1) / (length or last)
            self._more = moving_mean(self._more, more, _LEARNING)
        self._last = (length, each)
        self._right += went.right
        self._tried += went.right + went.wrong
        if self._tried > _MEMORY:
            self._right *= _MEMORY / self._tried
            self._tried = _MEMORY

    def _speed(self, length: int) -> float:
        """Return the tokens to expect in the time of a plain pass."""
        rate = self._right / self._tried
        tokens = sum(rate**n for n in range(length + 1))
        return tokens / (1 + self._more * length) if length else _BETTER


def moving_mean(old: float, new: float, weight: float = 0.1) -> float:
    """Return the exponential moving mean after a new value with this weight."""
    return old + weight * (new - old)
