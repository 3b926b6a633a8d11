"""The files of a tokenizer: tokenizer.json, or vocab.json and merges.txt, read and written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from penwright.document import END_OF_TEXT
from penwright.errors import TokenizerError
from penwright.tokens.vocabulary import (
    Traits,
    Vocabulary,
    bert_tokenizer,
    differs_from_gpt2,
    parse_merges,
    read_token_ids,
    without_added_tokens,
)

_FILE_PAIRS = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
_VERSION_LINE = "#version: 0.2"
_NEEDED = (
    "It needs tokenizer.json, or vocab.json and merges.txt, or encoder.json and vocab.bpe. "
    "transformers writes the first: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"
)
_OTHER_FILES = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
_ROLES = (
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"
)  # fmt: skip
_BERT_ROLES = {
    "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}  # fmt: skip


def render_vocab(vocabulary: Vocabulary) -> bytes:
    """Return vocab.json, written as OpenAI wrote GPT-2's."""
    in_order = sorted(vocabulary.ids.items(), key=lambda item: item[1])
    return json.dumps(dict(in_order)).encode()


def render_merges(vocabulary: Vocabulary) -> bytes:
    """Return merges.txt, written as OpenAI wrote GPT-2's."""
    lines = [_VERSION_LINE, *(f"{left} {right}" for left, right in vocabulary.merges)]
    return ("\n".join(lines) + "\n").encode()


def render_tokenizer(vocabulary: Vocabulary) -> bytes:
    """Return tokenizer.json, as the tokenizers library writes it."""
    added = [
        {"id": id_, "content": text, "normalized": False, **vocabulary.traits_of(text)._asdict()}
        for text, id_ in sorted(vocabulary.markers.items(), key=lambda item: item[1])
    ]
    if vocabulary.library:
        content = {**json.loads(vocabulary.library), "added_tokens": added}
        return json.dumps(content, indent=2, ensure_ascii=False).encode()
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            **level, "add_prefix_space": vocabulary.add_prefix_space, "use_regex": True
        },
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
    }  # fmt: skip
    return json.dumps(content, indent=2, ensure_ascii=False).encode()


def render_config(vocabulary: Vocabulary, max_length: int | None) -> bytes:
    """Return tokenizer_config.json, which transformers asks for."""
    content: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": vocabulary.end_of_text,
        "eos_token": vocabulary.end_of_text,
        "clean_up_tokenization_spaces": False,
    }
    if vocabulary.padding:
        content["pad_token"] = vocabulary.padding
    if vocabulary.add_prefix_space:
        content["add_prefix_space"] = True
    if max_length is not None:
        content["model_max_length"] = max_length
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def read_folder(folder: Path) -> Vocabulary:
    """Return the vocabulary in a model's folder.

    Looks for tokenizer.json, then vocab.json with merges.txt, then encoder.json with vocab.bpe,
    then BERT's vocab.txt. Raises TokenizerError when none is there or it cannot be read.
    """
    whole = folder / "tokenizer.json"
    if whole.is_file():
        return parse_tokenizer(_read_text(whole), str(whole), _settings(folder))
    for vocab_name, merges_name in _FILE_PAIRS:
        vocab, merges = folder / vocab_name, folder / merges_name
        if vocab.is_file() and merges.is_file():
            return _from_pair(vocab, merges)
    if (folder / "vocab.txt").is_file():
        lines = _read_text(folder / "vocab.txt").rstrip("\n").split("\n")
        settings = _BERT_ROLES | _settings(folder)
        tokens = [line.removesuffix("\r") for line in lines]
        content = bert_tokenizer(tokens, _text(settings["unk_token"]), settings)
        return parse_tokenizer(content, str(folder / "vocab.txt"), settings)
    other = next((name for name in _OTHER_FILES if (folder / name).is_file()), None)
    raise TokenizerError(
        f"'{folder}' has a SentencePiece tokenizer ({other}), which Penwright does not read."
        if other
        else f"There is no tokenizer in '{folder}'.",
        fix=_NEEDED,
    )


def parse_tokenizer(text: str, where: str, settings: Mapping[str, Any] | None = None) -> Vocabulary:
    """Return the vocabulary in the text of a tokenizer.json, which `where` names in errors.

    `settings` are what tokenizer_config.json and its like say.
    """
    content = _parse_json(text, where)
    model = content.get("model")
    if not isinstance(model, dict):
        raise TokenizerError(f"{where} has no model.", fix=_NEEDED)
    merges: tuple[tuple[str, str], ...] = ()
    other = ""
    if differs_from_gpt2(content):
        other = without_added_tokens(content)
        ids = read_token_ids(other, where)
    else:
        ids = _read_ids(model.get("vocab"), where)
        merges = tuple(_pair(merge, where) for merge in model.get("merges") or ())
    added: dict[str, tuple[int, Traits]] = {}
    for token in content.get("added_tokens") or ():
        if not isinstance(token.get("content"), str) or not isinstance(token.get("id"), int):
            raise TokenizerError(f"{where}: an added token lacks its text or its id.")
        added[token["content"]] = (token["id"], _traits(token))
    settings = dict(settings or {})
    # transformers' own class for GPT-2 goes by its settings, all others by tokenizer.json.
    if not str(settings.get("tokenizer_class", "GPT2Tokenizer")).startswith("GPT2Tokenizer"):
        before = content.get("pre_tokenizer") or {}
        settings["add_prefix_space"] = before.get("add_prefix_space", False)
    return _finish(ids, merges, added, where, settings, other)


def _from_pair(vocab: Path, merges: Path) -> Vocabulary:
    ids = _read_ids(_read_json(vocab), vocab)
    pairs = parse_merges(_read_text(merges), str(merges))
    path = vocab.with_name("added_tokens.json")
    table = _read_ids(_read_json(path), path) if path.is_file() else {}
    added = {text: (id_, Traits(special=False)) for text, id_ in table.items()}
    return _finish(ids, pairs, added, str(vocab), _settings(vocab.parent), "")


def _finish(
    ids: Mapping[str, int],
    merges: tuple[tuple[str, str], ...],
    added: dict[str, tuple[int, Traits]],
    where: str,
    settings: Mapping[str, Any],
    other: str,
) -> Vocabulary:
    """Build the vocabulary from its tokens and the settings in the other files of its folder."""
    for text, id_, traits in _declared(settings):
        known = added[text][0] if text in added else ids.get(text, id_)
        if known is not None:
            added[text] = (known, traits or Traits())
    known_ids = {**ids, **{text: id_ for text, (id_, _) in added.items()}}
    end = _end_of_text(settings, known_ids)
    if end in ids:
        added.setdefault(end, (ids[end], Traits()))
    padding = _text(settings.get("pad_token"))
    return Vocabulary(
        ids,
        merges,
        {text: id_ for text, (id_, _) in added.items()},
        end,
        {text: traits for text, (_, traits) in added.items() if traits != Traits()},
        padding if padding in added and padding != end else "",
        bool(settings.get("add_prefix_space")) and not other,
        other,
    ).check(where)


def _settings(folder: Path) -> dict[str, Any]:
    """Read special_tokens_map.json and tokenizer_config.json, and config.json's end token."""
    found: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file():
            values = _read_json(path)
            found |= {key: value for key, value in values.items() if value is not None}
    path = folder / "config.json"
    if path.is_file():
        value = _read_json(path).get("eos_token_id")
        found["eos_token_id"] = value[0] if isinstance(value, list) and value else value
    return found


def _declared(settings: Mapping[str, Any]) -> Iterator[tuple[str, int | None, Traits | None]]:
    """Yield the added tokens that a tokenizer_config.json declares, with their ids if it does."""
    decoder = settings.get("added_tokens_decoder")
    listed: set[str] = set()
    for key, token in decoder.items() if isinstance(decoder, dict) else ():
        if key.isdecimal() and isinstance(token, dict) and _text(token):
            listed.add(_text(token))
            yield _text(token), int(key), _traits(token)
    tokens = [settings.get(role) for role in _ROLES]
    for name in ("additional_special_tokens", "extra_special_tokens"):
        more = settings.get(name)
        tokens += more.values() if isinstance(more, dict) else more or ()
    for token in tokens:
        text = _text(token)
        if text and text not in listed:
            yield text, None, _traits(token) if isinstance(token, dict) else None


def find_unapplied(folder: Path, vocabulary: Vocabulary) -> list[str]:
    """Return a sentence for each setting of a folder's tokenizer that is not applied to text.

    These are special tokens that have no id, and tokens that transformers would put around a
    prompt; Penwright puts the end-of-text token before it, and nothing else.
    """
    settings, end = _settings(folder), vocabulary.end_of_text
    known = {**vocabulary.ids, **vocabulary.markers}
    lacking = dict.fromkeys(text for text, _, _ in _declared(settings) if text not in known)
    notes = [
        f"Ignored: {text}. The tokenizer's settings name it as a special token, but it has no id; "
        "it is read as text."
        for text in lacking
    ]
    before, after = _frame(folder, settings)
    unapplied = [text for text in before if text != end] + after
    if unapplied:
        notes.append(
            f"Not added to prompts: {', '.join(unapplied)}. The tokenizer's settings ask for it, "
            f"but a prompt begins with {end} only. Write it in the prompt if the model needs it."
        )
    return notes


def _frame(folder: Path, settings: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the tokens that a folder's settings put before and after a text."""
    whole = folder / "tokenizer.json"
    before, after = _frame_of(_read_json(whole).get("post_processor") if whole.is_file() else None)
    if not before and settings.get("add_bos_token"):
        before = [_text(settings.get("bos_token")) or END_OF_TEXT]
    if not after and settings.get("add_eos_token"):
        after = [_text(settings.get("eos_token")) or END_OF_TEXT]
    return before, after


def _frame_of(processor: Any) -> tuple[list[str], list[str]]:
    match processor:
        case {"type": "TemplateProcessing", "single": [*items]}:
            texts = [item.get("SpecialToken", {}).get("id", "") for item in items]
            place = texts.index("") if "" in texts else len(texts)
            return texts[:place], [text for text in texts[place:] if text]
        case {"type": "Sequence", "processors": [*parts]}:
            frames = [_frame_of(part) for part in parts]
            return [text for b, _ in frames for text in b], [text for _, a in frames for text in a]
        case {"type": "BertProcessing" | "RobertaProcessing", "cls": [cls, _], "sep": [sep, _]}:
            return [cls], [sep]
    return [], []


def _traits(token: Mapping[str, Any]) -> Traits:
    default = Traits()._asdict()
    return Traits(**{name: bool(token.get(name, default[name])) for name in default})


def _text(token: Any) -> str:
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _end_of_text(settings: Mapping[str, Any], known: Mapping[str, int]) -> str:
    """Return the folder's own end-of-text token: its tokenizer's, else its config's."""
    named = _text(settings.get("eos_token"))
    number = settings.get("eos_token_id")
    by_number = next((text for text, id_ in known.items() if id_ == number), "")
    tried = (named, END_OF_TEXT, by_number, _text(settings.get("sep_token")))
    return next((text for text in tried if text in known), END_OF_TEXT)


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
