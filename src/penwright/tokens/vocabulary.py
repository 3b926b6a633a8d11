"""A tokenizer's vocabulary: its tokens, its merges, and the tokens that were added to it.

A byte is written as a printable character in the files of a byte-level BPE (`byte_alphabet`); a
token's spelling is its bytes written so. Tokenizers that are no byte-level BPE like GPT-2's are run
by the tokenizers library.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources
from typing import Any, NamedTuple

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from penwright.document import END_OF_TEXT
from penwright.errors import TokenizerError

_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_BYTE = re.compile("<0x([0-9A-F]{2})>")
_WORD_END = re.compile(r"(?<=\S)(?=\s)")
_NO_CHANGE = (None, {"type": "Sequence", "normalizers": []})


def differs_from_gpt2(content: Mapping[str, Any]) -> bool:
    """Return whether a tokenizer.json cuts or merges text in another way than GPT-2's."""
    model, before = content.get("model") or {}, content.get("pre_tokenizer") or {}
    other = (
        "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "dropout",
        "ignore_merges",
    )  # fmt: skip
    return bool(
        model.get("type", "BPE") != "BPE"
        or content.get("normalizer") not in _NO_CHANGE
        or before.get("type") != "ByteLevel"
        or not before.get("use_regex", True)
        or any(model.get(key) for key in other)
    )


def without_added_tokens(content: Mapping[str, Any]) -> str:
    """Return a tokenizer.json that only encodes text: no added tokens, nothing put around it."""
    bare: dict[str, Any] = {"added_tokens": []}
    bare |= dict.fromkeys(("post_processor", "truncation", "padding"))
    return json.dumps({**content, **bare}, ensure_ascii=False, separators=(",", ":"))


def load_tokenizer(text: str, where: str = "The tokenizer") -> tokenizers.Tokenizer:
    """Return the library's tokenizer for a tokenizer.json; raises TokenizerError."""
    try:
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exceptions
        raise TokenizerError(f"{where} cannot be read by the tokenizers library: {error}") from None


def read_token_ids(text: str, where: str) -> dict[str, int]:
    """Return the tokens of a tokenizer.json that `load_tokenizer` reads; raises TokenizerError."""
    find_spelling(text, where)
    return dict(load_tokenizer(text, where).get_vocab(with_added_tokens=False))


def bert_tokenizer(tokens: Sequence[str], unknown: str, settings: Mapping[str, Any]) -> str:
    """Return the tokenizer.json of BERT's WordPiece over the tokens of a vocab.txt."""
    ids = {token: number for number, token in enumerate(tokens)}
    engine = tokenizers.Tokenizer(models.WordPiece(ids, unk_token=unknown))
    engine.normalizer = normalizers.BertNormalizer(
        lowercase=bool(settings.get("do_lower_case", True)),
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        strip_accents=settings.get("strip_accents"),
    )
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece()
    return str(engine.to_str())


def find_word_ends(text: str) -> list[int]:
    """Return where a text may be cut: before white space that follows a word, and at its end."""
    return [*(found.start() for found in _WORD_END.finditer(text)), len(text)]


def find_spelling(text: str, where: str = "The tokenizer") -> Callable[[str], bytes] | None:
    """Return the bytes of a token by its spelling, as the decoder of a tokenizer.json writes it.

    None means GPT-2's byte alphabet. A token is spelled with the space before it, so that text
    can be written token by token. Raises TokenizerError for a decoder of another kind.
    """
    decoder = json.loads(text).get("decoder") or {}
    match decoder.get("type"):
        case "ByteLevel":
            return None
        case "WordPiece":
            return lambda token: _spell_wordpiece(token, decoder.get("prefix", "##"))
        case "BPEDecoder":
            return lambda token: token.replace(decoder.get("suffix", "</w>"), " ").encode()
        case "Metaspace":
            return lambda token: token.replace(decoder.get("replacement", "▁"), " ").encode()
        case "Sequence" if _is_llama(decoder):
            return _spell_llama
    kind = decoder.get("type", "no")
    raise TokenizerError(
        f"{where} has a tokenizer with a decoder of type {kind}, which Penwright does not read.",
        fix="It reads ByteLevel, WordPiece, BPEDecoder, Metaspace and Llama's.",
    )


def _spell_wordpiece(token: str, prefix: str) -> bytes:
    if token.startswith(prefix):
        return token[len(prefix) :].encode()
    return (token if len(token) == 1 and _CJK.match(token) else f" {token}").encode()


def _is_llama(decoder: Mapping[str, Any]) -> bool:
    kinds = {part.get("type") for part in decoder.get("decoders", ())}
    return kinds <= {"Replace", "ByteFallback", "Fuse", "Strip"}


def _spell_llama(token: str) -> bytes:
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace("▁", " ").encode()


@cache
def byte_alphabet() -> str:
    """Return the printable character of each byte, a string of 256 (GPT-2's `encoder.py`)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in printable else next(others)) for byte in range(256))


class Traits(NamedTuple):
    """The behaviour of an added token, named as in tokenizer.json."""

    special: bool = True
    """Never printed in text that a model writes."""
    lstrip: bool = False
    """Takes in the white space before it, `rstrip` the white space after it."""
    rstrip: bool = False
    single_word: bool = False
    """Found only where no letter or digit touches it."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by spelling, the merges in order, and the markers, which are never merged into.

    `markers` maps the text of each marker to its id; it always holds `end_of_text`. `traits` has
    those of the markers that differ from `Traits()`. `padding` is the marker that fills up
    batches, or empty. `library` is the tokenizer.json of a tokenizer that is no byte-level BPE like
    GPT-2's, without its added tokens; otherwise it is empty.
    """

    ids: Mapping[str, int]
    merges: tuple[tuple[str, str], ...]
    markers: Mapping[str, int] = field(default_factory=dict)
    end_of_text: str = END_OF_TEXT
    traits: Mapping[str, Traits] = field(default_factory=dict)
    padding: str = ""
    add_prefix_space: bool = False
    """Begin every text, and what follows a marker, with a space."""
    library: str = ""

    @cached_property
    def size(self) -> int:
        """One more than the largest id."""
        return 1 + max(max(self.ids.values()), *self.markers.values())

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of everything that decides how text becomes ids."""
        tokens = sorted(self.ids.items(), key=lambda item: item[1])
        content: list[Any] = [
            tokens, self.merges, sorted(self.markers.items()), self.end_of_text
        ]  # fmt: skip
        cutting = sorted((text, some[1:]) for text, some in self.traits.items() if any(some[1:]))
        rest = (cutting, self.padding, self.add_prefix_space, self.library)
        content += [rest] if any(rest) else []
        return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes of each id; an id that no token has stands for nothing."""
        alphabet = byte_alphabet()
        known = frozenset(alphabet)
        to_bytes = {ord(character): byte for byte, character in enumerate(alphabet)}
        spell = find_spelling(self.library) if self.library else None
        table = [b""] * self.size
        for spelling, id_ in self.ids.items():
            if spell is not None:
                table[id_] = spell(spelling)
            elif known.issuperset(spelling):
                table[id_] = spelling.translate(to_bytes).encode("latin-1")
            else:
                table[id_] = spelling.encode("utf-8", "replace")
        for marker, id_ in self.markers.items():
            table[id_] = marker.encode("utf-8", "replace")
        return tuple(table)

    def traits_of(self, marker: str) -> Traits:
        """Return the traits of a marker."""
        return self.traits.get(marker, Traits())

    def with_markers(self, markers: Sequence[str]) -> Vocabulary:
        """Return a vocabulary that also has `markers`, each with a new id after the last.

        They are printed in text, those that were there before too.
        """
        table = dict(self.markers)
        size = self.size
        for marker in markers:
            if not marker:
                raise TokenizerError("An empty text cannot be a marker.")
            if marker not in table:
                table[marker] = size
                size += 1
        shown = {marker: self.traits_of(marker)._replace(special=False) for marker in markers}
        return replace(self, markers=table, traits={**self.traits, **shown})

    def without_markers(self, markers: Collection[str]) -> Vocabulary:
        """Return a vocabulary that lacks `markers`."""
        table = {marker: id_ for marker, id_ in self.markers.items() if marker not in markers}
        padding = "" if self.padding in markers else self.padding
        return replace(self, markers=table, padding=padding)

    def check(self, where: str) -> Vocabulary:
        """Return the vocabulary; raises TokenizerError when it cannot spell every text."""
        bytes_needed = () if self.library else enumerate(byte_alphabet())
        missing = [byte for byte, c in bytes_needed if c not in self.ids]
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
    """Return GPT-2's own 50,257 tokens; its merges are shipped, the tokens follow from them."""
    packed = resources.files("penwright") / "assets" / "gpt2" / "merges.txt.gz"
    merges = parse_merges(gzip.decompress(packed.read_bytes()).decode(), "GPT-2's merges.txt")
    in_rank_order = sorted(byte_alphabet())
    ids = {spelling: id_ for id_, spelling in enumerate(in_rank_order)}
    for left, right in merges:
        ids[left + right] = len(ids)
    ids[END_OF_TEXT] = len(ids)
    return Vocabulary(ids, merges, {END_OF_TEXT: ids[END_OF_TEXT]}).check("GPT-2's vocabulary")


def parse_merges(text: str, where: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of a merges.txt; raises TokenizerError that names the line."""
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


def marker_pattern(markers: Iterable[str], traits_of: Callable[[str], Traits]) -> re.Pattern[str]:
    """Return a pattern that finds each marker, as a group, the longest first."""
    parts = []
    for marker in sorted(markers, key=len, reverse=True):
        traits = traits_of(marker)
        part = f"({re.escape(marker)})"
        if traits.single_word:
            part = rf"(?<!\w){part}(?!\w)"
        if traits.lstrip:
            part = rf"\s*{part}"
        if traits.rstrip:
            part = rf"{part}\s*"
        parts.append(part)
    return re.compile("|".join(parts))


def split_at(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[str, bool]]:
    """Yield the markers in `text` and the stretches between, each with whether it is a marker."""
    start = 0
    for found in pattern.finditer(text):
        if found.start() > start:
            yield text[start : found.start()], False
        yield found[found.lastindex or 0], True
        start = found.end()
    if start < len(text):
        yield text[start:], False
