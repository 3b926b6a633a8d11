"""Drafts: guesses of the next tokens, which the model checks in one pass (speculative decoding).

There is no second model. A draft is what followed the text's last tokens where they stood before:
earlier in the text, or in the training text of the model. The random numbers of a token are a
function of (seed, index, step, token), so the token that plain sampling chooses is known from the
logits alone. A draft is accepted as far as it is that choice: texts with and without drafts are the
same, but for rounding.

How long a draft is, and whether there is one, follows from the measured time of a pass and from
how often drafts of its kind were right: the number of tokens a second is greatest.

Leviathan, Kalman and Matias, "Fast Inference from Transformers via Speculative Decoding", 2023;
Saxena, "Prompt Lookup Decoding", 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from penwright.index.suffix_index import SuffixIndex
from penwright.model.cache import count_common
from penwright.native import Corpus as GuessCorpus
from penwright.sample.guessing import Guessing, moving_mean

SHORTEST = 3
"""Tokens at the end of the text that a draft must have in common with what it continues."""
LONGEST = 12
MOST = 15
"""Tokens in a draft."""
_SUFFIXES = (12, 6, 3)  # looked up in the training text
_COMMON = 256  # occurrences, up to which the most frequent next token is looked for
_PATIENCE = 1.0  # seconds of writing, before which it is not worth opening an index
_FORGETTING = 0.02
_WORTH = 1.1  # times as many tokens a second, from which on a draft is made
_GUESS = 0.3  # time of a token of a draft over that of a plain one, before it is known
_HOPE = 0.8  # share of right tokens that is assumed at first
_WAITS = (2, 64)  # tokens that are written plainly before the next look: at first, and at most


class Kind(NamedTuple):
    """Where a draft comes from, and how long the common text before it is (of `_SUFFIXES`)."""

    source: str
    common: int


class Draft(NamedTuple):
    """A guess of the next tokens."""

    kind: Kind
    tokens: list[int]


class Corpus(Protocol):
    """A training text whose index may come later, or not at all."""

    @property
    def index(self) -> SuffixIndex | None:
        """Return the index, once it is there."""

    @property
    def says(self) -> str:
        """Return why there is no index, for the user; nothing if there is no training text."""


class Finder(Protocol):
    """A place where the end of a text is looked for."""

    def find(self, ids: Sequence[int], most: int) -> Draft | None:
        """Return what followed the end of `ids`, at most `most` tokens; None if it is not there.

        `ids` are those of the last call and more, or another text.
        """


class TextFinder:
    """Looks in the text itself."""

    def __init__(self) -> None:
        self._last: dict[tuple[int, ...], int] = {}
        self._read = SHORTEST

    def find(self, ids: Sequence[int], most: int) -> Draft | None:
        for end in range(self._read, len(ids)):
            self._last[tuple(ids[end - SHORTEST : end])] = end
        self._read = max(self._read, len(ids))
        start = self._last.get(tuple(ids[-SHORTEST:]))
        if start is None:
            return None
        common = SHORTEST
        while common < min(LONGEST, start) and ids[start - common - 1] == ids[-common - 1]:
            common += 1
        tokens = list(ids[start : start + most])
        while len(tokens) < most:  # it reaches the end of the text: what repeats goes on
            tokens.append(tokens[len(tokens) - (len(ids) - start)])
        return Draft(_kind("text", common), tokens)


class CorpusFinder:
    """Looks in an index of the training text."""

    def __init__(self, index: SuffixIndex) -> None:
        self._index = index
        self._at = -1  # the place in the store that the text has followed so far
        self._common = 0
        self._read = 0

    def find(self, ids: Sequence[int], most: int) -> Draft | None:
        store = self._index.store
        new = ids[self._read :]
        end = self._at + len(new)
        follows = (
            self._at >= 0
            and end < store.n_tokens
            and list(store.tokens(self._at, end)) == list(new)
        )
        self._read = len(ids)
        if follows:
            self._at = end
            self._common += len(new)
        else:
            self._search(ids)
        if self._at < 0:
            return None
        tokens = store.tokens(self._at, min(store.n_tokens, self._at + most)).tolist()
        return Draft(_kind("corpus", self._common), tokens) if tokens else None

    def _search(self, ids: Sequence[int]) -> None:
        self._at = -1
        matches = []
        for length in _SUFFIXES[::-1]:  # where a short one is not, no longer one is
            match = self._index.find(ids[-length:]) if len(ids) >= length else None
            if match is None:
                break
            matches.append((length, match))
        for length, match in reversed(matches):
            if match.count <= _COMMON:
                tokens, counts = self._index.next_tokens(match)
                if not len(tokens):  # it stands at the end of the text only
                    continue
                match = self._index.extend(match, int(tokens[counts.argmax()])) or match
            self._at = int(self._index.locations(match, 1)[0]) + length
            self._common = length
            return


def _kind(source: str, common: int) -> Kind:
    return Kind(source, next(length for length in _SUFFIXES if common >= length))


class Drafter:
    """Makes drafts for one text at a time, and learns how long they should be.

    `corpus` has the index of the training text once it is there.
    """

    def __init__(self, corpus: Corpus | None = None) -> None:
        self.corpus = corpus
        self._finders: list[Finder] = []
        self._text: object = None
        self._right: dict[Kind, float] = {}
        self._seconds = 0.0
        self._plain = 0.0  # seconds of a token without drafts
        self._more = 0.0  # seconds of each token of a draft, more than a plain one
        self._wait = self._left = _WAITS[0]
        self._checked = False
        self.guessing = Guessing()
        self.guess_corpus: GuessCorpus | None = None
        """What the native decoder guesses from between drafts, once the index is there."""
        self.drafted = self.accepted = 0
        """Tokens in all drafts and guesses, and those of them that were right."""

    def propose(self, text: object, ids: Sequence[int], room: int) -> Draft | None:
        """Return a draft of at most `room` tokens behind `ids`, where one is worth its time.

        `text` identifies the text that `ids` are the tokens of.
        """
        if self._left > 0 or room < 1 or not self._plain:
            return None
        if text is not self._text:
            self._text, self._finders = text, [TextFinder()]
        asks = self._seconds > _PATIENCE and len(self._finders) == 1
        index = self.corpus.index if self.corpus and asks else None
        if index is not None:
            self._finders.append(CorpusFinder(index))
            if self.guess_corpus is None:
                blocks = [(block.suffixes, block.line) for block in index.blocks]
                self.guess_corpus = GuessCorpus(blocks, index.store.vocab_size)
        found = [finder.find(ids, min(room, MOST)) for finder in self._finders]
        best, draft = _WORTH, None
        for guess in filter(None, found):
            for length in range(1, len(guess.tokens) + 1):
                if (gain := self._gain(guess.kind, length)) > best:
                    best, draft = gain, Draft(guess.kind, guess.tokens[:length])
        if draft is None:
            self._left, self._wait = self._wait, min(2 * self._wait, _WAITS[1])
            self._more *= 1 - _FORGETTING  # what did not pay is tried again some day
            for guess in filter(None, found):
                right = self._right.get(guess.kind, _HOPE)
                self._right[guess.kind] = moving_mean(right, _HOPE, _FORGETTING)
        return draft

    @property
    def plain_steps(self) -> int:
        """Return the tokens to write before a draft is looked for again."""
        return max(1, self._left)

    def note(self, draft: Draft | None, chosen: Sequence[int], seconds: float) -> None:
        """Learn from a pass that chose these tokens, with a draft or without one."""
        self._seconds += seconds
        if draft is None:
            self._left -= len(chosen)
            self._plain = moving_mean(self._plain or seconds / len(chosen), seconds / len(chosen))
            return
        accepted = count_common(chosen, draft.tokens)
        right = self._right.get(draft.kind, _HOPE)
        for _ in range(accepted):
            right = moving_mean(right, 1.0)
        if accepted < min(len(chosen), len(draft.tokens)):
            right = moving_mean(right, 0.0)
        self._right[draft.kind] = right
        more = max(0.0, seconds - self._plain) / len(draft.tokens)
        if self._checked:  # the first pass warms up
            self._more = moving_mean(self._more or more, more)
        self._checked = True
        self.drafted += len(draft.tokens)
        self.accepted += accepted
        if accepted:
            self._wait = _WAITS[0]

    def _gain(self, kind: Kind, length: int) -> float:
        """Return how many times as many tokens a second a draft promises as none."""
        right = self._right.get(kind, _HOPE)
        tokens = sum(right**n for n in range(length + 1))
        more = self._more or _GUESS * self._plain
        return tokens * self._plain / (self._plain + length * more)
