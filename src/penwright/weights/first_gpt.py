"""The tokenizer of the first GPT: lower-cased words, merged up to an end-of-word mark.

It loses upper case, accents and the kind of white space, so what it decodes is the text as GPT
sees it. It knows no end-of-text token; `<unk>`, which no ordinary text contains, stands for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from penwright.errors import ModelError, TokenizerError
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.vocabulary import Vocabulary
from penwright.weights.settings import read_object

UNKNOWN = "<unk>"
END_OF_WORD = "</w>"
Ids = npt.NDArray[np.uint32]


class FirstGPTTokenizer(Tokenizer):
    """GPT's BPE over BERT's words (Radford et al. 2018), as transformers' OpenAIGPTTokenizer."""

    @classmethod
    def from_folder(cls, folder: str | Path) -> FirstGPTTokenizer:
        """The tokenizer from tokenizer.json, or vocab.json and merges.txt; raises ModelError."""
        folder = Path(folder)
        path = folder / "tokenizer.json"
        if path.is_file():
            model = read_object(path).get("model")
            found = model if isinstance(model, dict) else {}
            ids, merges = found.get("vocab"), found.get("merges")
        else:
            path = folder / "vocab.json"
            ids, merges = read_object(path), _read_merges(folder / "merges.txt")
        return cls(_vocabulary(path, ids, merges))

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of everything that decides how text becomes ids."""
        return hashlib.sha256(f"first-gpt {self.vocabulary.hash}".encode()).hexdigest()

    def encode_flat(
        self, texts: Sequence[str], *, markers: Sequence[str] = ()
    ) -> tuple[Ids, npt.NDArray[np.int64]]:
        """The ids of all texts one after another, and how many each text has.

        Raises TokenizerError for `markers`, which GPT lacks.
        """
        for marker in markers:
            raise TokenizerError(f"The tokenizer of the first GPT has no marker '{marker}'.")
        encodings = self._engine.encode_batch_fast(list(texts), add_special_tokens=False)
        ids = [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]
        flat = np.concatenate([np.empty(0, dtype=np.uint32), *ids])
        return flat, np.array([len(part) for part in ids], dtype=np.int64)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids`; a word's last token is followed by a space."""
        table = self._spelled
        try:
            return b"".join([table[id_] for id_ in ids])
        except IndexError:
            raise TokenizerError(
                f"There is a token id of {self.vocab_size} or more, which this tokenizer lacks."
            ) from None

    def with_added(self, markers: Sequence[str]) -> Tokenizer:
        """Refused: raises TokenizerError."""
        raise TokenizerError(
            f"The tokenizer of the first GPT cannot take new markers ({', '.join(markers)}).",
            fix="Use a GPT-2.",
        )

    @cached_property
    def token_sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of text in each token; `<unk>` has none."""
        sizes = np.array([len(token) for token in self._spelled], dtype=np.int64)
        sizes[self.eot_id] = 0
        return sizes

    def save(self, folder: str | Path, *, max_length: int | None = None) -> None:
        """Write tokenizer.json, tokenizer_config.json, vocab.json and merges.txt."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        config: dict[str, str | int] = {
            "tokenizer_class": "OpenAIGPTTokenizer",
            "unk_token": UNKNOWN,
        }
        if max_length is not None:
            config["model_max_length"] = max_length
        merges = "".join(f"{left} {right}\n" for left, right in self.vocabulary.merges)
        for name, text in {
            "tokenizer.json": self._engine.to_str(pretty=True),
            "tokenizer_config.json": json.dumps(config, indent=2) + "\n",
            "vocab.json": json.dumps(dict(self.vocabulary.ids)),
            "merges.txt": f"#version: 0.2\n{merges}",
        }.items():
            (target / name).write_text(text, encoding="utf-8", newline="\n")

    @cached_property
    def _spelled(self) -> tuple[bytes, ...]:
        table = [b""] * self.vocab_size
        for spelling, id_ in self.vocabulary.ids.items():
            table[id_] = spelling.replace(END_OF_WORD, " ").encode()
        return tuple(table)

    @cached_property
    def _engine(self) -> tokenizers.Tokenizer:
        engine = tokenizers.Tokenizer(
            models.BPE(
                vocab=dict(self.vocabulary.ids),
                merges=list(self.vocabulary.merges),
                end_of_word_suffix=END_OF_WORD,
                unk_token=UNKNOWN,
            )
        )
        engine.normalizer = normalizers.BertNormalizer(lowercase=True)
        engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        engine.decoder = decoders.BPEDecoder(suffix=END_OF_WORD)
        return engine


def _read_merges(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}.") from None
    return [line for line in lines if line and not line.startswith("#version")]


def _vocabulary(path: Path, ids: object, merges: object) -> Vocabulary:
    """A checked vocabulary; raises ModelError, naming `path`."""
    if not isinstance(ids, dict) or any(type(id_) is not int or id_ < 0 for id_ in ids.values()):
        raise ModelError(f"{path} is damaged: it has no table of tokens.")
    if UNKNOWN not in ids or max(ids.values()) > 1 << 24:
        raise ModelError(f"{path} is no vocabulary of the first GPT: it lacks {UNKNOWN}.")
    pairs: list[tuple[str, str]] = []
    for merge in merges if isinstance(merges, list) else ():
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not (isinstance(parts, list) and len(parts) == 2 and "".join(parts) in ids):
            raise ModelError(f"{path} is damaged: it merges {str(merge)[:80]!r} into no token.")
        pairs.append((parts[0], parts[1]))
    return Vocabulary(ids, tuple(pairs), {UNKNOWN: ids[UNKNOWN]}, UNKNOWN)
