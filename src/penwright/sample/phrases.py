"""Words and phrases that a text must not have, or must have, however they are cut into tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from penwright.tokens import Tokenizer

if TYPE_CHECKING:
    from penwright.sample.processors import Rows

STRONGEST = 15.0
"""The most that is added to a logit for a required word."""


def phrase_pattern(phrases: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern for case-folded text that matches each phrase as whole words.

    White space at the ends of a phrase does not count.
    """
    parts = []
    for phrase in phrases:
        text = phrase.strip().casefold()
        begin = r"(?<!\w)" if text[:1].isalnum() else ""
        end = r"(?!\w)" if text[-1:].isalnum() else ""
        parts.append(begin + re.escape(text) + end)
    return re.compile("|".join(parts))


class BannedPhrases:
    """Refuses the token that would complete one of some phrases, however it is spelled in tokens.

    Upper and lower case are the same. A phrase counts where it stands as whole words; at the end
    of a text it does, so a longer word is never begun with a token that ends where the phrase does.
    """

    def __init__(self, phrases: Sequence[str], tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._pattern = phrase_pattern(phrases)
        self._bytes = 4 * max(map(len, phrases)) + 8

    def refuses(self, ids: Sequence[int], token: int) -> bool:
        """Return whether a phrase would be complete with `token`."""
        tail, place = b"", len(ids)
        while place and len(tail) < self._bytes:
            place -= 1
            tail = self._tokenizer.printed_bytes(ids[place]) + tail
        before = len(_fold(tail))
        text = _fold(tail + self._tokenizer.printed_bytes(token))
        return any(found.end() > before for found in self._pattern.finditer(text))


def _fold(data: bytes) -> str:
    """Return the case-folded text of `data`, without an unfinished last character."""
    text = data.decode("utf-8", "replace")
    for unfinished in (1, 2, 3):
        try:
            data[-unfinished:].decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start == 0 and error.reason == "unexpected end of data":
                text = data[:-unfinished].decode("utf-8", "replace")
        else:
            break
    return text.casefold()


class RequiredWords:
    """Words that must be written, and the tokens that spell them.

    Words are the same in upper and lower case, and count as whole words.
    """

    def __init__(self, words: Sequence[str], tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._words = [
            (word, phrase_pattern([word]), tokenizer.encode(f" {word.strip()}")) for word in words
        ]

    def missing(self, text: str) -> dict[str, list[int]]:
        """Return the words that `text` lacks, and the tokens of each."""
        folded = text.casefold()
        return {word: ids for word, pattern, ids in self._words if not pattern.search(folded)}

    def steer(self, logits_BV: Tensor, rows: Rows) -> Tensor:
        """Raise the logit of the next token of each missing word, and rule out the text's end.

        What is added grows with the share of the text that is written, to `STRONGEST` at its end.
        """
        logits_BV = logits_BV.clone()
        written, left = rows.written_B.tolist(), rows.left_B.tolist()
        for row, length in enumerate(rows.lengths_B.tolist()):
            ids = rows.ids_BT[row, length - written[row] : length].tolist()
            words = list(self.missing(self._tokenizer.decode(ids)).values())
            if not words or not left[row]:
                continue
            bias = STRONGEST * written[row] / (written[row] + left[row])
            begun = [find_begun(ids, word) for word in words]
            following = {word[count] for word, count in zip(words, begun, strict=True)}
            logits_BV[row, sorted(following)] += bias
            logits_BV[row, list(rows.end_ids)] = float("-inf")
        return logits_BV


def find_begun(ids: Sequence[int], word: Sequence[int]) -> int:
    """Return how many tokens of `word`, but not all, the text `ids` ends with."""
    lengths = range(min(len(word) - 1, len(ids)), 0, -1)
    return next((n for n in lengths if list(ids[-n:]) == list(word[:n])), 0)
