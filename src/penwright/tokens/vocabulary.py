"""A byte-level BPE vocabulary as it lies on disk: tokenizer.json, or vocab.json and merges.txt.

A byte is written as a printable character in all these files (`byte_alphabet`); a token's
spelling is its bytes written so.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from penwright.errors import TokenizerError
from penwright.markers import END_OF_TEXT

_FILE_PAIRS = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
_VERSION_LINE = "#version: 0.2"


@cache
def byte_alphabet() -> str:
    """The printable character of each byte, as a string of 256 (GPT-2's `encoder.py`)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in printable else next(others)) for byte in range(256))


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by spelling, the merges in order, and the markers, which are never merged into.

    `markers` maps the text of each marker to its id; it always holds `end_of_text`.
    """

    ids: Mapping[str, int]
    merges: tuple[tuple[str, str], ...]
    markers: Mapping[str, int] = field(default_factory=dict)
    end_of_text: str = END_OF_TEXT

    @cached_property
    def size(self) -> int:
        """One more than the largest id."""
        return 1 + max(max(self.ids.values()), *self.markers.values())

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of everything that decides how text becomes ids."""
        tokens = sorted(self.ids.items(), key=lambda item: item[1])
        content = [tokens, self.merges, sorted(self.markers.items()), self.end_of_text]
        return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """What each id stands for; an id that no token has stands for nothing."""
        alphabet = byte_alphabet()
        known = frozenset(alphabet)
        to_bytes = {ord(character): byte for byte, character in enumerate(alphabet)}
        table = [b""] * self.size
        for spelling, id_ in self.ids.items():
            if known.issuperset(spelling):
                table[id_] = spelling.translate(to_bytes).encode("latin-1")
            else:
                table[id_] = spelling.encode("utf-8", "replace")
        for marker, id_ in self.markers.items():
            table[id_] = marker.encode("utf-8", "replace")
        return tuple(table)

    def with_markers(self, markers: tuple[str, ...]) -> Vocabulary:
        """The same with `markers` added after the last id; those it has already stay."""
        table = dict(self.markers)
        size = self.size
        for marker in markers:
            if not marker:
                raise TokenizerError("An empty text cannot be a marker.")
            if marker not in table:
                table[marker] = size
                size += 1
        return replace(self, markers=table)

    def check(self, where: str) -> Vocabulary:
        """The vocabulary itself; raises TokenizerError when it cannot spell every text."""
        missing = [byte for byte, c in enumerate(byte_alphabet()) if c not in self.ids]
        if missing:
            raise TokenizerError(
                f"{where} has no token for byte 0x{missing[0]:02x}, so it cannot spell every text.",
                fix="Penwright reads byte-level BPE tokenizers, such as GPT-2's.",
            )
        for left, right in self.merges:
            if left + right not in self.ids:
                raise TokenizerError(f"{where} merges '{left}' and '{right}' into no known token.")
        if self.end_of_text not in self.markers:
            raise TokenizerError(f"{where} has no end-of-text token ({self.end_of_text}).")
        return self


@cache
def gpt2() -> Vocabulary:
    """GPT-2's own 50,257 tokens; its merges are shipped, and the tokens follow from them."""
    packed = resources.files("penwright") / "assets" / "gpt2" / "merges.txt.gz"
    merges = parse_merges(gzip.decompress(packed.read_bytes()).decode(), "GPT-2's merges.txt")
    in_rank_order = sorted(byte_alphabet())
    ids = {spelling: id_ for id_, spelling in enumerate(in_rank_order)}
    for left, right in merges:
        ids[left + right] = len(ids)
    ids[END_OF_TEXT] = len(ids)
    return Vocabulary(ids, merges, {END_OF_TEXT: ids[END_OF_TEXT]}).check("GPT-2's vocabulary")


def render_vocab(vocabulary: Vocabulary) -> bytes:
    """vocab.json, written as OpenAI wrote GPT-2's."""
    in_order = sorted(vocabulary.ids.items(), key=lambda item: item[1])
    return json.dumps(dict(in_order)).encode()


def render_merges(vocabulary: Vocabulary) -> bytes:
    """merges.txt, written as OpenAI wrote GPT-2's."""
    lines = [_VERSION_LINE, *(f"{left} {right}" for left, right in vocabulary.merges)]
    return ("\n".join(lines) + "\n").encode()


def render_tokenizer(vocabulary: Vocabulary) -> bytes:
    """tokenizer.json, as the tokenizers library writes it."""
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    marker = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": id_, "content": text, **marker, "special": True}
            for text, id_ in sorted(vocabulary.markers.items(), key=lambda item: item[1])
        ],
        "normalizer": None,
        "pre_tokenizer": {**level, "use_regex": True},
        "post_processor": {**level, "trim_offsets": False, "use_regex": True},
        "decoder": {**level, "add_prefix_space": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": dict(sorted(vocabulary.ids.items(), key=lambda item: item[1])),
            "merges": vocabulary.merges,
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False).encode()


def render_config(vocabulary: Vocabulary, max_length: int | None) -> bytes:
    """tokenizer_config.json, which transformers asks for."""
    content: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": vocabulary.end_of_text,
        "eos_token": vocabulary.end_of_text,
        "clean_up_tokenization_spaces": False,
    }
    if max_length is not None:
        content["model_max_length"] = max_length
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def read_folder(folder: Path) -> Vocabulary:
    """The vocabulary in a model's folder.

    Looks for tokenizer.json, then vocab.json with merges.txt, then encoder.json with vocab.bpe.
    Raises TokenizerError when none is there, or when it is not a byte-level BPE.
    """
    whole = folder / "tokenizer.json"
    if whole.is_file():
        return parse_tokenizer(_read_text(whole), str(whole), folder)
    for vocab_name, merges_name in _FILE_PAIRS:
        vocab, merges = folder / vocab_name, folder / merges_name
        if vocab.is_file() and merges.is_file():
            return _from_pair(vocab, merges)
    raise TokenizerError(
        f"There is no tokenizer in '{folder}'.",
        fix="It needs tokenizer.json, or vocab.json and merges.txt, or encoder.json and vocab.bpe.",
    )


def parse_merges(text: str, where: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a merges.txt; raises TokenizerError that names the line."""
    merges: list[tuple[str, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.partition(" ")
        if not left or not right or " " in right:
            raise TokenizerError(f"{where}:{number} should hold two tokens, but is '{line[:80]}'.")
        merges.append((left, right))
    return tuple(merges)


def _from_pair(vocab: Path, merges: Path) -> Vocabulary:
    ids = _read_ids(_read_json(vocab), vocab)
    added = vocab.with_name("added_tokens.json")
    markers = _read_ids(_read_json(added), added) if added.is_file() else {}
    end = _end_of_text(vocab.parent, ids.keys() | markers.keys())
    if end in ids:
        markers[end] = ids[end]
    pairs = parse_merges(_read_text(merges), str(merges))
    return Vocabulary(ids, pairs, markers, end).check(str(vocab))


def parse_tokenizer(text: str, where: str, folder: Path | None = None) -> Vocabulary:
    """The vocabulary in the text of a tokenizer.json, which `where` names in errors."""
    content = _parse_json(text, where)
    model = content.get("model")
    problem = _unsupported(content)
    if problem or not isinstance(model, dict):
        raise TokenizerError(
            f"{where} is not a byte-level BPE like GPT-2's: {problem or 'it has no model'}.",
            fix="Choose a model of the GPT-2 family.",
        )
    ids = _read_ids(model.get("vocab"), where)
    merges = tuple(_pair(merge, where) for merge in model.get("merges") or ())
    markers: dict[str, int] = {}
    for token in content.get("added_tokens") or ():
        if not isinstance(token.get("content"), str) or not isinstance(token.get("id"), int):
            raise TokenizerError(f"{where}: an added token lacks its text or its id.")
        markers[token["content"]] = token["id"]
    end = _end_of_text(folder, ids.keys() | markers.keys())
    if end in ids:
        markers.setdefault(end, ids[end])
    return Vocabulary(ids, merges, markers, end).check(where)


def _unsupported(content: dict[str, Any]) -> str:
    """What in a tokenizer.json is not as GPT-2 does it, or an empty string."""
    model = content.get("model") or {}
    before = content.get("pre_tokenizer") or {}
    if model.get("type", "BPE") != "BPE":
        return f"its model is {model['type']}"
    if content.get("normalizer") not in (None, {"type": "Sequence", "normalizers": []}):
        return "it changes the text (a normalizer) before it encodes"
    if before.get("type") != "ByteLevel" or not before.get("use_regex", True):
        return f"it cuts words by {before.get('type', 'nothing')}"
    for key in ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "dropout"):
        if model.get(key):
            return f"it sets {key}"
    return "it sets ignore_merges" if model.get("ignore_merges") else ""


def _end_of_text(folder: Path | None, known: Any) -> str:
    """The end-of-text marker: <|endoftext|> where there is one, else what the folder says."""
    if END_OF_TEXT in known:
        return END_OF_TEXT
    config = folder / "tokenizer_config.json" if folder else None
    if config and config.is_file():
        token = _read_json(config).get("eos_token")
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str) and text in known:
            return text
    return END_OF_TEXT


def _read_ids(table: Any, where: object) -> dict[str, int]:
    if not isinstance(table, dict) or not table:
        raise TokenizerError(f"{where} has no table of tokens.")
    if not all(type(id_) is int and id_ >= 0 for id_ in table.values()):
        raise TokenizerError(f"{where} gives a token an id that is not a whole number.")
    if len(set(table.values())) != len(table):
        raise TokenizerError(f"{where} gives two tokens the same id.")
    return dict(table)


def _pair(merge: Any, where: object) -> tuple[str, str]:
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(p, str) for p in parts):
        raise TokenizerError(f"{where}: a merge should hold two tokens, but is {merge!r}.")
    return parts[0], parts[1]


def _read_json(path: Path) -> dict[str, Any]:
    return _parse_json(_read_text(path), str(path))


def _parse_json(text: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise TokenizerError(f"{where} is not valid JSON: {error}.") from None
    if not isinstance(content, dict):
        raise TokenizerError(f"{where} should hold a JSON object.")
    return content


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path} is not UTF-8 at byte {error.start}.") from None
