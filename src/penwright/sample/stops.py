"""Text from tokens as they come: whole characters only, and never a part of a stop text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class CharacterStream:
    """Bytes in, whole characters out.

    A character whose bytes are not all there is held back, and left out if they never come; bytes
    that can be no UTF-8 become U+FFFD. What came out is what decoding all bytes at once gives,
    but for such an unfinished last character.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes) -> str:
        """The characters that `data` completes."""
        return self._decoder.decode(data)


class StopMatcher:
    """Text in, text out up to the first stop text.

    The stop text that is complete first ends the text, the longest if several are complete with
    the same character, and the text is cut where it begins. That does not depend on how the text
    is cut into pieces. What could still become a stop text is held back.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found: str | None = None

    def feed(self, text: str) -> str:
        """Return the text that no stop text can begin in any more; hold back the rest."""
        if not self._stops:
            return text
        if not text or self.found is not None:
            return ""
        text = self._held + text
        ends = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            _, at, self.found = min(ends)
            self._held = ""
            return text[:at]
        sure = len(text) - max(_overlap(text, stop) for stop in self._stops)
        self._held = text[sure:]
        return text[:sure]

    def finish(self) -> str:
        """Return the text that was held back, at the end."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that a longer `stop` begins with."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
