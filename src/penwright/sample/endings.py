"""The text of one row as it grows by tokens, and where it ends."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

from penwright.config import SamplingConfig
from penwright.tokens.bpe import Tokenizer

SENTENCE_TOKENS = 64
"""Most tokens beyond `max_new_tokens` that are written to finish a sentence."""
LOOP_TOKENS = 64  # an indentation may be some fifty spaces
LOOP_REPEATS = 4
LONGEST_LOOP = 64
_SHORT = "".join(rf"(?<!\b{word})" for word in ("Mr", "Mrs", "Ms", "Dr", "St", "[A-HJ-Z]"))
_SENTENCE_END = re.compile(rf"""(?P<sentence>(?:{_SHORT}\.|[!?…])["'”’»)\]]*)\s|\n[ \t]*\n""")
_CONTEXT = 16  # characters before a piece that decide whether a sentence ends in it


class CharacterStream:
    """A decoder of UTF-8 that takes bytes and returns whole characters.

    A character whose bytes are not all there is held back, and left out if they never come; bytes
    that can be no UTF-8 become U+FFFD. What came out is what decoding all bytes at once gives,
    but for such an unfinished last character.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes) -> str:
        """Return the characters that `data` completes."""
        return self._decoder.decode(data)


class StopMatcher:
    """A filter that passes text on up to the first stop text.

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
    """Return the length of the longest end of `text` that a longer `stop` begins with."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


def find_sentence_end(before: str, piece: str) -> int | None:
    """Return how many characters of `piece` belong to the sentence that ends in it, or None.

    A sentence ends before a blank line, or before white space with . ! ? or … and the quotes and
    brackets that close there; not after Mr, Mrs, Ms, Dr, St and initials. Where it ended with the
    text `before`, and only white space follows, all of `piece` belongs to it.
    """
    text, first = before + piece, len(before)
    for found in _SENTENCE_END.finditer(text):
        if found.end() > first:
            cut = found.start() if found["sentence"] is None else found.end("sentence")
            return max(0, cut - first)
        if not text[found.end() :].strip():
            return len(piece)
    return None


def is_looping(tokens: Sequence[int]) -> bool:
    """Return whether the end of a text is at least four copies of a sequence of 64 tokens or fewer.

    Shorter sequences must fill the last 64 tokens.
    """
    for period in range(1, LONGEST_LOOP + 1):
        size = max(LOOP_REPEATS * period, LOOP_TOKENS)
        if len(tokens) < size:
            return False
        if tokens[-size:-period] == tokens[period - size :]:
            return True
    return False


class TextStream:
    """The text that a row's tokens become, and whether it is finished.

    `healing` are the bytes at the end of the prompt that the row writes again; they are no part of
    its text. Text that came out is never taken back.
    """

    def __init__(self, sampling: SamplingConfig, healing: bytes = b"") -> None:
        self.finish_reason = "" if sampling.max_new_tokens else "length"
        self.tokens: list[int] = []
        self.pieces: list[str] = []
        self.healing = healing
        """What is still to be written again of the prompt."""
        self._sampling = sampling
        self._characters = CharacterStream()
        self._stops = StopMatcher(sampling.stop)

    @property
    def text(self) -> str:
        """The text so far, as far as it is sure."""
        return "".join(self.pieces)

    @property
    def left(self) -> int:
        """Tokens that may still be written, not counting those that finish a sentence."""
        return max(0, self._sampling.max_new_tokens - len(self.tokens))

    @property
    def room(self) -> int:
        """Tokens that the text takes at most, with those that finish a sentence."""
        more = SENTENCE_TOKENS if self._sampling.finish_sentence else 0
        return max(0, self._sampling.max_new_tokens + more - len(self.tokens))

    def push(self, token: int, tokenizer: Tokenizer) -> str:
        """Take the next token; returns the text that is now sure, and may finish the text."""
        piece = self._take(token, tokenizer)
        if piece:
            self.pieces.append(piece)
        return piece

    def _take(self, token: int, tokenizer: Tokenizer) -> str:
        if token in tokenizer.end_ids:
            self.finish_reason = "end"
            return self._stops.finish()
        self.tokens.append(token)
        if token in tokenizer.hidden:
            if tokenizer.decode([token]) in self._sampling.stop:
                self.finish_reason = "stop"
                return self._stops.finish()
            data = b""
        else:
            data = tokenizer.token_bytes(token)
            again = min(len(data), len(self.healing))
            data, self.healing = data[again:], self.healing[again:]
        piece = self._stops.feed(self._characters.feed(data))
        if self._stops.found is not None:
            self.finish_reason = "stop"
        elif self._sampling.on_loop != "allow" and is_looping(self.tokens):
            self.finish_reason = "loop"
            piece += self._stops.finish()
        elif not self.left:
            return self._finish_sentence(piece)
        return piece

    def _finish_sentence(self, piece: str) -> str:
        """Return as much of `piece` as belongs to the text, once it has all the tokens it may."""
        if self._sampling.finish_sentence:
            end = find_sentence_end(self.text[-_CONTEXT:], piece)
            if end is not None:
                self.finish_reason = "length"
                return piece[:end]
        if not self.room:
            self.finish_reason = "length"
            piece += self._stops.finish()
        return piece
