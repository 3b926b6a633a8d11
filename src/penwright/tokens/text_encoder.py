"""Encode text without markers, a chunk at a time, and join the ids of many texts with markers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import models, pre_tokenizers

from penwright.tokens import vocabulary as vocabularies
from penwright.tokens.text_splitter import CHUNK, RUN_WINDOW, Words, cut, encode_run
from penwright.tokens.vocabulary import Vocabulary, byte_alphabet
from penwright.tokens.word_table import WordTable

Ids = npt.NDArray[np.uint32]
Int64 = npt.NDArray[np.int64]

FEW = 1 << 12
"""Characters from which on it pays to look words up in a table."""
_WORDS_AT_ONCE = 1 << 11
_BYTES_TO_SPELLING = dict(enumerate(byte_alphabet()))


class TextEncoder:
    """Encodes text by a vocabulary's merges; knows no markers, so that all text is text."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @cached_property
    def engine(self) -> tokenizers.Tokenizer:
        """The tokenizers library's encoder, which is fast for short texts."""
        vocabulary = self.vocabulary
        if vocabulary.library:
            return vocabularies.load_tokenizer(vocabulary.library)
        model = models.BPE(vocab=dict(vocabulary.ids), merges=list(vocabulary.merges))
        engine = tokenizers.Tokenizer(model)
        engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        return engine

    @cached_property
    def _merger(self) -> tokenizers.Tokenizer:
        """Merges the bytes of words, given as spellings with spaces between them."""
        merger = tokenizers.Tokenizer(self.engine.model)
        merger.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(" ")
        return merger

    @cached_property
    def _words(self) -> Words:
        return Words(lambda text: self.engine.pre_tokenizer.pre_tokenize_str(text))

    @cached_property
    def table(self) -> WordTable:
        """The table of words, which is fast for long texts."""
        return WordTable(self._words, self.merge_words, self.vocabulary.size)

    def word_ends(self, text: str) -> Int64:
        """Return where the words that are merged by themselves end in a text, in characters."""
        if self.vocabulary.library:
            return np.array(vocabularies.find_word_ends(text), dtype=np.int64)
        return self._words.ends(text)

    def encode(self, texts: Sequence[str]) -> tuple[Ids, Int64]:
        """Return the ids of all texts one after another, and the number of each.

        The texts are about a chunk together. Raises UnicodeEncodeError for a lone surrogate.
        """
        if sum(map(len, texts)) >= FEW and not self.vocabulary.library:
            return self.table.encode(texts)
        for text in texts:
            text.encode()
        encodings = self.engine.encode_batch_fast(list(texts), add_special_tokens=False)
        rows = [encoding.ids for encoding in encodings]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        return np.array([id_ for row in rows for id_ in row], dtype=np.uint32), lengths

    def merge_words(self, words: list[bytes]) -> tuple[Ids, Int64]:
        """Return the ids of words, each merged by itself, and the number of each."""
        ids: list[Ids] = [np.empty(0, dtype=np.uint32)]
        counts = np.zeros(len(words), dtype=np.int64)
        for first in range(0, len(words), _WORDS_AT_ONCE):
            some = words[first : first + _WORDS_AT_ONCE]
            if max(map(len, some)) > RUN_WINDOW:
                rows = [encode_run(word, self._merge, self._all_sizes) for word in some]
                ids += rows
                counts[first : first + len(some)] = [len(row) for row in rows]
                continue
            encoding = self._merger.encode(" ".join(map(_spell, some)), add_special_tokens=False)
            ids.append(np.array(encoding.ids, dtype=np.uint32))
            numbers = np.array(encoding.word_ids, dtype=np.int64)
            counts[first : first + len(some)] = np.bincount(numbers, minlength=len(some))
        return np.concatenate(ids), counts

    def _merge(self, word: bytes) -> Ids:
        encoding = self._merger.encode(_spell(word), add_special_tokens=False)
        return np.array(encoding.ids, dtype=np.uint32)

    @cached_property
    def _all_sizes(self) -> Int64:
        return np.array([len(token) for token in self.vocabulary.token_bytes], dtype=np.int64)


class EncodeJob:
    """Collects the chunks of many texts, encodes them together, counts each text's ids.

    `owner` is the index of the text that a marker or a part belongs to.
    """

    def __init__(self, encoder: TextEncoder, n_texts: int) -> None:
        self._encoder = encoder
        self._lengths = np.zeros(n_texts, dtype=np.int64)
        self._done: list[Ids] = [np.empty(0, dtype=np.uint32)]
        self._begin_group()

    def add_marker(self, owner: int, id_: int) -> None:
        self._lengths[owner] += 1
        self._markers.append((len(self._waiting), id_))

    def add_text(self, owner: int, text: str) -> None:
        if len(text) <= 2 * CHUNK or self._encoder.vocabulary.library:
            self._add_chunk(owner, text)
            return
        for chunk in cut(text, self._encoder.word_ends, CHUNK):
            part = text[chunk.start : chunk.end]
            if chunk.run:
                self._flush()
                ids, _ = self._encoder.merge_words([part.encode()])
                self._done.append(ids)
                self._lengths[owner] += len(ids)
            else:
                self._add_chunk(owner, part)

    def finish(self) -> tuple[Ids, Int64]:
        self._flush()
        return np.concatenate(self._done), self._lengths

    def _add_chunk(self, owner: int, text: str) -> None:
        self._waiting.append(text)
        self._owners.append(owner)
        self._characters += len(text)
        if self._characters >= 2 * CHUNK:
            self._flush()

    def _flush(self) -> None:
        ids, lengths = self._encoder.encode(self._waiting)
        np.add.at(self._lengths, self._owners, lengths)
        if self._markers:
            ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
            places = ends[[before for before, _ in self._markers]]
            ids = np.insert(ids, places, [id_ for _, id_ in self._markers])
        self._done.append(ids)
        self._begin_group()

    def _begin_group(self) -> None:
        self._waiting: list[str] = []
        self._owners: list[int] = []
        self._markers: list[tuple[int, int]] = []
        self._characters = 0


def _spell(word: bytes) -> str:
    return word.decode("latin-1").translate(_BYTES_TO_SPELLING)
