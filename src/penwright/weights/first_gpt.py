"""The tokenizer of the first GPT: lower-cased words, merged up to an end-of-word mark.

It loses upper case, accents and the kind of white space, so what it decodes is the text as GPT
sees it. It knows no end-of-text token; `<unk>`, which no ordinary text contains, stands for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from penwright.errors import ModelError, TokenizerError
from penwright.files import read_json
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.vocabulary import Vocabulary

UNKNOWN = "<unk>"
END_OF_WORD = "</w>"


class FirstGPTTokenizer(Tokenizer):
    """GPT's BPE over BERT's words (Radford et al. 2018), as transformers' OpenAIGPTTokenizer."""

    @classmethod
    def from_folder(cls, folder: str | Path) -> FirstGPTTokenizer:
        """Read tokenizer.json, or vocab.json and merges.txt; raises ModelError."""
        folder = Path(folder)
        path = folder / "tokenizer.json"
        added: dict[str, int] = {}
        if path.is_file():
            content = read_json(path, ModelError)
            model = content.get("model")
            found = model if isinstance(model, dict) else {}
            ids, merges = found.get("vocab"), found.get("merges")
            added = {token["content"]: token["id"] for token in content.get("added_tokens") or ()}
        else:
            path = folder / "vocab.json"
            ids, merges = read_json(path, ModelError), _read_merges(folder / "merges.txt")
            more = folder / "added_tokens.json"
            added = read_json(more, ModelError) if more.is_file() else {}
        return cls(_vocabulary(path, ids, merges, added))

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of everything that decides how text becomes ids."""
        words = replace(self.vocabulary, library="")
        return hashlib.sha256(f"first-gpt {words.hash}".encode()).hexdigest()

    def with_added(self, markers: Sequence[str]) -> Tokenizer:
        """Refused: raises TokenizerError."""
        raise TokenizerError(
            f"The tokenizer of the first GPT cannot take new markers ({', '.join(markers)}).",
            fix="Use a GPT-2.",
        )

    def save(self, folder: str | Path, *, max_length: int | None = None) -> None:
        """Write tokenizer.json, tokenizer_config.json, vocab.json and merges.txt."""
        super().save(folder, max_length=max_length)
        target = Path(folder)
        config: dict[str, str | int] = {
            "tokenizer_class": "OpenAIGPTTokenizer",
            "unk_token": UNKNOWN,
        }
        if max_length is not None:
            config["model_max_length"] = max_length
        merges = "".join(f"{left} {right}\n" for left, right in self.vocabulary.merges)
        for name, text in {
            "tokenizer_config.json": json.dumps(config, indent=2) + "\n",
            "vocab.json": json.dumps(dict(self.vocabulary.ids)),
            "merges.txt": f"#version: 0.2\n{merges}",
        }.items():
            (target / name).write_text(text, encoding="utf-8", newline="\n")


def _engine(ids: dict[str, int], merges: list[tuple[str, str]]) -> str:
    """Return the tokenizer.json that encodes as the first GPT does."""
    engine = tokenizers.Tokenizer(
        models.BPE(vocab=ids, merges=merges, end_of_word_suffix=END_OF_WORD, unk_token=UNKNOWN)
    )
    engine.normalizer = normalizers.BertNormalizer(lowercase=True)
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.BPEDecoder(suffix=END_OF_WORD)
    return str(engine.to_str())


def _read_merges(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}.") from None
    return [line for line in lines if line and not line.startswith("#version")]


def _vocabulary(path: Path, ids: object, merges: object, added: dict[str, int]) -> Vocabulary:
    """Return a checked vocabulary; raises ModelError, naming `path`."""
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
    markers = {UNKNOWN: ids[UNKNOWN], **added}
    return Vocabulary(ids, tuple(pairs), markers, UNKNOWN, library=_engine(ids, pairs))
