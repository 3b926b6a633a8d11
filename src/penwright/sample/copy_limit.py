"""The limit of what a text may copy from the training text, as a guard of its tokens."""

from __future__ import annotations

from collections.abc import Sequence

from penwright.errors import UsageError
from penwright.index.repeats import counted_tokens
from penwright.index.suffix_index import SuffixIndex
from penwright.tokens import Tokenizer

_LONGEST_WORD = 32  # tokens; longer ones are not compared with the tokenizer's spelling


class TrainingCopies:
    """The training text of a model, in which copied spans are looked up.

    Lengths are counted as by `index.repeats.find_copied`: in tokens that hold a letter or a digit,
    without those of the prompt.
    """

    def __init__(self, index: SuffixIndex, tokenizer: Tokenizer) -> None:
        self.index = index
        self.counted: list[bool] = counted_tokens(tokenizer).tolist()
        self.spelling = Spelling(tokenizer)


def need_training(training: TrainingCopies | None) -> TrainingCopies:
    """Return `training`; raises UsageError when there is none."""
    if training is None:
        raise UsageError(
            "--max-copy needs the text that the model was trained on, which is not at hand.",
            fix="Name a run of `penwright finetune` whose files are still there.",
        )
    return training


class CopyGuard:
    """Refuses the token that would make a copied span longer than `most`.

    It also refuses tokens that the tokenizer itself would not cut the text into: otherwise a word
    of the passage could be spelled in other tokens. The span to look up is the shortest with one
    counted token too many. While it holds a piece that occurs nowhere, nothing has to be looked up,
    so a text that copies little is seldom looked up.
    """

    def __init__(self, training: TrainingCopies, most: int, prompt_length: int) -> None:
        self._training = training
        self._most = most
        self._prompt_length = prompt_length
        self._begin()

    def _begin(self) -> None:
        self._seen = 0
        self._word = 0  # where the last word begins
        self._places: list[int] = []  # of the counted tokens that were written
        self._absent = 0, 0, -1  # a piece of the text that occurs nowhere: [start, end), last token

    def refuses(self, ids: Sequence[int], token: int) -> bool:
        """Return whether `token` would make a copied span too long."""
        training = self._training
        if len(ids) != self._seen:
            self._follow(ids)
        if not training.spelling.is_usual(ids[self._word :], token):
            return True
        if not training.counted[token] or len(self._places) < self._most:
            return False
        first = self._places[-self._most]
        start, end, last = self._absent
        if first <= start and end <= len(ids) and ids[end - 1] == last:
            return False
        span = [*ids[first:], token]
        length = min(end - start, len(span)) // 4  # the next piece is about as long as the last
        while length < len(span):
            length = min(max(4, 2 * length), len(span))
            if not training.index.occurs(span[-length:]):
                self._absent = len(ids) + 1 - length, len(ids) + 1, token
                return False
        return True

    def _follow(self, ids: Sequence[int]) -> None:
        """Note the counted tokens, and the beginnings of words, since the last call."""
        if len(ids) < self._seen:
            self._begin()
        begins_word, counted = self._training.spelling.begins_word, self._training.counted
        for at in range(self._seen, len(ids)):
            token = ids[at]
            if not at or begins_word[ids[at - 1]][token]:
                self._word = at
            if counted[token] and at >= self._prompt_length:
                self._places.append(at)
        self._seen = len(ids)


class Spelling:
    """Tells whether a text is written in the tokens that the tokenizer itself would cut it into.

    Only then does a text have the same tokens when it is encoded again. A word is compared when a
    token is added to it; what may still be its beginning is accepted.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._is_known = not tokenizer.vocabulary.library  # others cut texts elsewhere
        self._usual: dict[tuple[int, ...], bool] = {}
        pieces = [tokenizer.printed_bytes(token) for token in range(tokenizer.vocab_size)]
        begins_space = [piece[:1].isspace() for piece in pieces]
        always, never = [True] * len(pieces), [False] * len(pieces)
        self._is_hidden = [token in tokenizer.hidden for token in range(len(pieces))]
        self.begins_word = [
            always if hidden else never if piece[-1:].isspace() else begins_space
            for piece, hidden in zip(pieces, self._is_hidden, strict=True)
        ]
        """Whether a word, with the white space before it, begins at a token, by the one before."""

    def is_usual(self, word: Sequence[int], token: int) -> bool:
        """Return whether the tokenizer spells `word`, the last one, and `token` behind it so."""
        if not self._is_known or self._is_hidden[token]:
            return True
        key = (token,) if not word or self.begins_word[word[-1]][token] else (*word, token)
        if len(key) > _LONGEST_WORD:
            return True
        usual = self._usual.get(key)
        if usual is None:
            usual = self._usual[key] = self._compare(key)
        return usual

    def _compare(self, word: tuple[int, ...]) -> bool:
        try:
            text = self._tokenizer.decode_bytes(word).decode("utf-8")
        except UnicodeDecodeError:
            return True
        if self._encode(text) == list(word):
            return True
        # The last white space before a word belongs to that word.
        return text[-1:].isspace() and self._encode(text + "x")[: len(word)] == list(word)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode_flat([text], goes_on=[True])[0].tolist()
        return ids
