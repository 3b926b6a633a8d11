"""Tokenizers that are no byte-level BPE like GPT-2's, run by the tokenizers library."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

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


def load(text: str, where: str = "The tokenizer") -> tokenizers.Tokenizer:
    """Return the library's tokenizer for a tokenizer.json; raises TokenizerError."""
    try:
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exceptions
        raise TokenizerError(f"{where} cannot be read by the tokenizers library: {error}") from None


def read_ids(text: str, where: str) -> dict[str, int]:
    """Return the tokens of a tokenizer.json that `load` reads; raises TokenizerError."""
    spelling(text, where)
    return dict(load(text, where).get_vocab(with_added_tokens=False))


def bert(tokens: Sequence[str], unknown: str, settings: Mapping[str, Any]) -> str:
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


def word_ends(text: str) -> list[int]:
    """Return where a text may be cut: before white space that follows a word, and at its end."""
    return [*(found.start() for found in _WORD_END.finditer(text)), len(text)]


def spelling(text: str, where: str = "The tokenizer") -> Callable[[str], bytes] | None:
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
