"""Move the context window over a text that is longer than it.

The model reads the tokens from `start` on; both functions are pure, so that every way of writing
(cached or not, alone or in a batch) sees the same. Positions count from the window's start.
"""

from __future__ import annotations


def begin(prompt: int, max_new: int, context: int) -> int:
    """Where the window of a prompt of so many tokens begins.

    A prompt that fits is read whole. Of a longer one the last part is, with room left to write
    `max_new` tokens, or half the context if they need more.
    """
    if prompt <= context:
        return 0
    return prompt - max(1, context - min(max_new, context // 2))


def follow(start: int, length: int, context: int) -> int:
    """Where the window begins once the text has `length` tokens.

    It stays until it is full; then it keeps the last half of a context, and fills up again.
    """
    if length - start <= context:
        return start
    return length - max(1, context // 2)
