"""The tokenizer: text to token ids and back, byte for byte.

A marker that the tokenizer defines, such as `<sep>`, becomes its one id where the caller names it
or the tokenizer reads it `always`; every other text is text. The end-of-text token is read in
prompts, not in data: there it would end documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from penwright.document import END_OF_TEXT
from penwright.errors import DataError, TokenizerError, UsageError
from penwright.tokens import tokenizer_files
from penwright.tokens import vocabulary as vocabularies
from penwright.tokens.text_encoder import EncodeJob, TextEncoder
from penwright.tokens.text_splitter import CHUNK, find_cut
from penwright.tokens.vocabulary import Vocabulary, byte_alphabet, marker_pattern, split_at

Ids = npt.NDArray[np.uint32]

_TRAINING_PIECE = 1 << 16
_SURROGATE = re.compile("[\ud800-\udfff]")


class Tokenizer:
    """A byte-level BPE in the manner of GPT-2 (Sennrich et al. 2016; Radford et al. 2019)."""

    def __init__(
        self, vocabulary: Vocabulary, always: Sequence[str] = (), ends: Iterable[int] = ()
    ) -> None:
        self.vocabulary = vocabulary
        self.always = tuple(always)
        """Markers that become their one id wherever they stand in a text."""
        self.vocab_size = vocabulary.size
        """The rows of the embedding: the largest id plus one."""
        self.eot_id = vocabulary.markers[vocabulary.end_of_text]
        """The end-of-text token, which stands before and after every document."""
        self.end_ids = tuple(dict.fromkeys((self.eot_id, *ends)))
        """The tokens that end a text that a model writes, `eot_id` the first of them."""
        self.padding_id = vocabulary.markers.get(vocabulary.padding, self.eot_id)
        """The token that fills up batches: the end-of-text token unless there is one for it."""
        self.hidden = frozenset(
            id_ for text, id_ in vocabulary.markers.items() if vocabulary.traits_of(text).special
        )
        """The special tokens, which are never printed in text that a model writes."""

    @classmethod
    def gpt2(cls) -> Tokenizer:
        """Return GPT-2's own tokenizer."""
        return cls(vocabularies.gpt2())

    @classmethod
    def from_folder(cls, folder: str | Path) -> Tokenizer:
        """Return the tokenizer in a model's folder; raises TokenizerError when it cannot be read.

        Reads tokenizer.json, or vocab.json and merges.txt, or encoder.json and vocab.bpe, or
        BERT's vocab.txt.
        """
        return cls(tokenizer_files.read_folder(Path(folder)))

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Tokenizer:
        """Train a new tokenizer on `texts`; id 0 is <|endoftext|>, then the 256 bytes.

        It has fewer than `vocab_size` tokens when the texts are too few to merge so many.
        """
        if vocab_size < 257:
            raise UsageError(
                f"A vocabulary needs at least 257 tokens, not {vocab_size}.",
                fix="8192 is a good size for a small model.",
            )
        engine = tokenizers.Tokenizer(models.BPE())
        engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=list(byte_alphabet()),
            show_progress=False,
        )
        engine.train_from_iterator(_short_texts(texts), trainer)
        return cls(tokenizer_files.parse_tokenizer(engine.to_str(), "The trained tokenizer"))

    @cached_property
    def encoder(self) -> TextEncoder:
        """The encoder of text without markers."""
        return TextEncoder(self.vocabulary)

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of everything that decides how text becomes ids."""
        return self.vocabulary.hash

    @cached_property
    def added(self) -> tuple[str, ...]:
        """The markers besides the end-of-text token, such as `<sep>`, in the order of their ids."""
        table = self.vocabulary.markers
        end = self.vocabulary.end_of_text
        return tuple(sorted((m for m in table if m != end), key=table.__getitem__))

    def with_added(self, markers: Sequence[str]) -> Tokenizer:
        """Return a tokenizer that also has `markers`, each a new id after the last."""
        return self._with(self.vocabulary.with_markers(tuple(markers)))

    def without(self, markers: Sequence[str]) -> Tokenizer:
        """Return a tokenizer that lacks these of its markers."""
        always = [marker for marker in self.always if marker not in markers]
        return self._with(self.vocabulary.without_markers(markers), always)

    def reading(self, markers: Sequence[str]) -> Tokenizer:
        """Return a tokenizer that takes these of its markers for markers in every text.

        Raises TokenizerError when it has no such marker.
        """
        for marker in markers:
            self.marker_id(marker)
        together = tuple(dict.fromkeys((*self.always, *markers)))
        return self if together == self.always else self._with(self.vocabulary, together)

    def ending_at(self, ids: Iterable[int]) -> Tokenizer:
        """Return a tokenizer for a model whose texts end at these tokens too."""
        return type(self)(self.vocabulary, self.always, ids)

    def _with(self, vocabulary: Vocabulary, always: Sequence[str] | None = None) -> Tokenizer:
        return type(self)(vocabulary, self.always if always is None else always, self.end_ids[1:])

    def marker_id(self, marker: str) -> int:
        """Return the id of a marker; raises TokenizerError when there is no such marker."""
        try:
            return self.vocabulary.markers[marker]
        except KeyError:
            raise TokenizerError(f"The tokenizer has no marker '{marker}'.") from None

    def encode(self, text: str, *, markers: Sequence[str] = ()) -> list[int]:
        """Return the ids of `text`; `markers` in it become their one id.

        Raises DataError for a lone surrogate, which no encoding of Unicode can spell.
        """
        ids: list[int] = self.encode_batch([text], markers=markers)[0].tolist()
        return ids

    def encode_prompt(self, prompt: str) -> list[int]:
        """Return the ids of a prompt as a document begins: the end-of-text token, then its own.

        Every marker in it becomes its one id, as in transformers. Where the prompt begins with the
        end-of-text token itself, it is not put there twice.
        """
        ids = self.encode(prompt, markers=tuple(self.vocabulary.markers))
        return ids if ids[:1] == [self.eot_id] else [self.eot_id, *ids]

    def count(self, text: str) -> int:
        """Return the number of tokens of `text`."""
        return int(self.encode_flat([text])[1][0])

    def encode_batch(self, texts: Sequence[str], *, markers: Sequence[str] = ()) -> list[Ids]:
        """Return the ids of each text, as uint32; much faster than one text at a time."""
        ids, lengths = self.encode_flat(texts, markers=markers)
        return np.split(ids, np.cumsum(lengths)[:-1]) if len(texts) else []

    def encode_flat(
        self,
        texts: Sequence[str],
        *,
        markers: Sequence[str] = (),
        goes_on: Sequence[bool] | None = None,
    ) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Return the ids of all texts one after another, and how many each text has.

        `goes_on` tells of each text whether it is the middle of one, and so gets no first space
        from a tokenizer that begins texts with one.
        """
        table = {marker: self.marker_id(marker) for marker in (*self.always, *markers)}
        spaced = self.vocabulary.add_prefix_space
        try:
            if not table and not spaced and sum(map(len, texts)) <= 4 * CHUNK:
                return self.encoder.encode(texts)
            job = EncodeJob(self.encoder, len(texts))
            pattern = marker_pattern(table, self.vocabulary.traits_of) if table else None
            for owner, text in enumerate(texts):
                begins = goes_on is None or not goes_on[owner]
                for part, is_marker in split_at(text, pattern) if pattern else ((text, False),):
                    if is_marker:
                        job.add_marker(owner, table[part])
                    else:
                        spaced_part = spaced and begins and not part.startswith(" ")
                        job.add_text(owner, f" {part}" if spaced_part and part else part)
                    begins = True
            return job.finish()
        except UnicodeEncodeError:
            raise _refuse_surrogate(texts) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of `ids`; a single token may end in the middle of a character."""
        table = self.vocabulary.token_bytes
        try:
            return b"".join([table[id_] for id_ in ids])
        except IndexError:
            raise TokenizerError(
                f"There is a token id of {self.vocab_size} or more, which this tokenizer lacks."
            ) from None

    @cached_property
    def line_breaks(self) -> npt.NDArray[np.int64]:
        """The number of line breaks in each token of the vocabulary, int64 [V]."""
        return np.array([self.token_bytes(i).count(b"\n") for i in range(self.vocab_size)])

    def token_bytes(self, id_: int) -> bytes:
        """Return the bytes of one token."""
        return self.decode_bytes([id_])

    def printed_bytes(self, id_: int) -> bytes:
        """Return the bytes of a token in text that a model writes: none of a special token."""
        return b"" if id_ in self.hidden else self.token_bytes(id_)

    @cached_property
    def by_bytes(self) -> list[tuple[bytes, int]]:
        """The tokens that print something, with their bytes, sorted."""
        pieces = ((self.printed_bytes(id_), id_) for id_ in range(self.vocab_size))
        return sorted(pair for pair in pieces if pair[0])

    @cached_property
    def token_sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of text in each token; the markers have none."""
        sizes = np.array([len(token) for token in self.vocabulary.token_bytes], dtype=np.int64)
        sizes[list(self.vocabulary.markers.values())] = 0
        return sizes

    def word_ends(self, text: str) -> npt.NDArray[np.int64]:
        """Return where the words that are merged by themselves end in a text, in characters."""
        return self.encoder.word_ends(text)

    def save(self, folder: str | Path, *, max_length: int | None = None) -> None:
        """Write tokenizer.json, tokenizer_config.json, vocab.json and merges.txt.

        `max_length` is the model's context, which transformers likes to be told.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        vocabulary = self.vocabulary
        files = {
            "tokenizer.json": tokenizer_files.render_tokenizer(vocabulary),
            "tokenizer_config.json": tokenizer_files.render_config(vocabulary, max_length),
        }
        if not vocabulary.library:
            files["vocab.json"] = tokenizer_files.render_vocab(vocabulary)
            files["merges.txt"] = tokenizer_files.render_merges(vocabulary)
        for name, content in files.items():
            (target / name).write_bytes(content)


def _refuse_surrogate(texts: Sequence[str]) -> DataError:
    """Return the error for a text that is not valid Unicode."""
    found = next(found for text in texts if (found := _SURROGATE.search(text)))
    return DataError(
        f"Character {found.start() + 1:,} of a text is half of a surrogate pair"
        f" (U+{ord(found[0]):04X}), which is not Unicode text.",
        fix="Mend or remove it; it usually comes from text cut inside an emoji.",
    )


def _short_texts(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts in chunks of some kilobytes, as the trainer holds a text's words at once."""
    for text in texts:
        start = 0
        while start < len(text):
            end = find_cut(text, start + _TRAINING_PIECE) or len(text)
            yield text[start:end]
            start = end
