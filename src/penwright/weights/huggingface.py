"""Read and write model folders in Hugging Face's format.

A written folder has config.json, generation_config.json, model.safetensors (or shards with an
index), the tokenizer's files, README.md (the model card) and penwright.json. Names begin with
`transformer.` and a tied head is written once, as transformers expects.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers

from penwright.errors import ModelError, TokenizerError
from penwright.files import read_json
from penwright.model.config import GPT2Config
from penwright.model.gpt2 import GPT2
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.tokenizer_files import find_unapplied
from penwright.tokens.vocabulary import Vocabulary
from penwright.weights import pytorch_file, safetensors_file, stored
from penwright.weights.stored import NAMES, TORCH_TYPES, Stored
from penwright.wording import name_list

SHARD_BYTES = 5_000_000_000
"""The largest size of a weight file; a larger model is written in several."""
TOKENIZER_FILES = (
    "tokenizer.json", "vocab.json", "encoder.json", "vocab.txt", "spiece.model", "tokenizer.model"
)  # fmt: skip
GPT2_VOCABULARY = 50257
_UNKNOWN = "<unk>"
_END_OF_WORD = "</w>"


def read_config(path: Path) -> GPT2Config:
    """Read the config.json at `path`; raises ModelError, naming the file, for an invalid one."""
    values = {key: value for key, value in read_json(path, ModelError).items() if value is not None}
    try:
        return GPT2Config.from_dict(values)
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", fix=error.fix) from None


def weight_file(folder: Path) -> Path:
    """Return the file of a folder's weights, or of their index; raises ModelError."""
    for name in (
        "model.safetensors.index.json",
        "model.safetensors",
        "pytorch_model.bin.index.json",
        "pytorch_model.bin",
    ):
        if (folder / name).is_file():
            return folder / name
    raise ModelError(
        f"{folder} has a config.json but no weights.",
        fix="It needs model.safetensors, pytorch_model.bin, or shards with their index.",
    )


def read_tensors(folder: Path) -> dict[str, Stored]:
    """Return the tensors of a folder, not read yet; raises ModelError."""
    path = weight_file(folder)
    read = pytorch_file.pickled if "pytorch_model" in path.name else stored.safetensors
    return stored.sharded(path, read) if path.suffix == ".json" else read(path)


def has_tokenizer(folder: Path) -> bool:
    """Return whether there is a tokenizer in a folder."""
    return any((folder / name).is_file() for name in TOKENIZER_FILES)


def read_tokenizer(
    folder: Path, config: GPT2Config, form: Mapping[str, Any], notes: list[str]
) -> Tokenizer:
    """Return the folder's tokenizer; its added tokens are read as one id in every text.

    For a checkpoint of transformers' Trainer it may be in the parent folder; for a vocabulary of
    GPT-2's size without a tokenizer GPT-2's is used. `form` is the folder's penwright.json; `notes`
    gets a sentence for each part that is guessed or left out. Raises ModelError when there is none.
    """
    found = _find_tokenizer(folder, config, notes)
    lacking = [
        marker
        for marker, id_ in found.vocabulary.markers.items()
        if id_ >= config.vocab_size and marker != found.vocabulary.end_of_text
    ]
    if lacking:
        notes.append(
            f"Ignored: {name_list(lacking)}. The tokenizer has added tokens that have no row in "
            f"the model's embedding of {config.vocab_size:,}; they are read as text."
        )
        found = found.without(lacking)
    if found.eot_id >= config.vocab_size:
        raise ModelError(
            f"The end-of-text token of {folder}, {found.vocabulary.end_of_text}, has no row in the "
            f"model's embedding of {config.vocab_size:,}.",
            fix="Use the tokenizer that the model was trained with.",
        )
    chosen = [marker for marker in form.get("markers", ()) if marker in found.vocabulary.markers]
    if chosen:
        found = found.with_added(chosen)
    return found.reading(found.added).ending_at(_end_ids(folder, config))


def _find_tokenizer(folder: Path, config: GPT2Config, notes: list[str]) -> Tokenizer:
    kind = FirstGPTTokenizer if config.first_gpt else Tokenizer
    above = folder.parent if folder.name.startswith("checkpoint-") else folder
    for place in (folder, above):
        if has_tokenizer(place):
            found = kind.from_folder(place)
            if place != folder:
                notes.append(f"{folder.name} has no tokenizer: that of {place} is used.")
            notes += find_unapplied(place, found.vocabulary)
            return found
    if config.vocab_size == GPT2_VOCABULARY and not config.first_gpt:
        notes.append(
            f"{folder} has no tokenizer: GPT-2's is used, since its vocabulary has the same size."
        )
        return Tokenizer.gpt2()
    raise ModelError(
        f"{folder} has no tokenizer.",
        fix="It needs tokenizer.json, or vocab.json and merges.txt.",
    )


def _end_ids(folder: Path, config: GPT2Config) -> list[int]:
    """Return the end-of-text tokens of generation_config.json, else of config.json."""
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        value = read_json(path, ModelError).get("eos_token_id") if path.is_file() else None
        ids = value if isinstance(value, list) else [value]
        if found := [id_ for id_ in ids if type(id_) is int and 0 <= id_ < config.vocab_size]:
            return found
    return []


def read_format(folder: Path) -> dict[str, Any]:
    """Return the content of penwright.json, empty if there is none; raises ModelError."""
    path = folder / "penwright.json"
    return read_json(path, ModelError) if path.is_file() else {}


def save(
    folder: str | Path,
    model: GPT2,
    tokenizer: Tokenizer,
    *,
    card: str,
    penwright: Mapping[str, Any],
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a complete model folder; without `dtype` each weight keeps its type."""
    save_parts(
        folder,
        model.config,
        {name: stored.of_tensor(t.detach()) for name, t in model.state_dict().items()},
        tokenizer,
        card=card,
        penwright=penwright,
        dtype=dtype,
        shard_bytes=shard_bytes,
    )


def save_parts(
    folder: str | Path,
    config: GPT2Config,
    tensors: Mapping[str, Stored],
    tokenizer: Tokenizer,
    *,
    card: str,
    penwright: Mapping[str, Any],
    dtype: torch.dtype | None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a model folder from stored tensors, reading one at a time."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ends = {"bos_token_id": tokenizer.eot_id, "eos_token_id": tokenizer.eot_id}
    all_ends = list(tokenizer.end_ids) if len(tokenizer.end_ids) > 1 else tokenizer.eot_id
    name = str(dtype or _widest(tensors)).removeprefix("torch.")
    _write_json(folder / "config.json", {**config.to_dict(), **ends, "dtype": name})
    sampling = {"do_sample": True, "temperature": 0.8, "top_p": 0.95}
    generation = {
        **ends,
        "eos_token_id": all_ends,
        "pad_token_id": tokenizer.padding_id,
        **sampling,
    }
    _write_json(folder / "generation_config.json", generation)
    write_tensors(folder, tensors, dtype, shard_bytes)
    tokenizer.save(folder, max_length=config.n_positions)
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    _write_json(folder / "penwright.json", dict(penwright))


def write_tensors(
    folder: Path,
    tensors: Mapping[str, Stored],
    dtype: torch.dtype | None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write `tensors` as model.safetensors, or as shards with an index when they are larger."""
    shards: list[dict[str, Stored]] = [{}]
    total = filled = 0
    for name, tensor in tensors.items():
        size = math.prod(tensor.shape) * (dtype or TORCH_TYPES[tensor.dtype]).itemsize
        if filled and filled + size > shard_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor
        filled += size
        total += size
    files = {
        "model.safetensors"
        if len(shards) == 1
        else f"model-{number:05d}-of-{len(shards):05d}.safetensors": shard
        for number, shard in enumerate(shards, 1)
    }
    for file, shard in files.items():
        entries = {name: to_write(tensor, dtype) for name, tensor in shard.items()}
        safetensors_file.write(folder / file, entries)
    if len(shards) > 1:
        weight_map = {name: file for file, shard in files.items() for name in shard}
        _write_json(
            folder / "model.safetensors.index.json",
            {"metadata": {"total_size": total}, "weight_map": weight_map},
        )


def to_write(tensor: Stored, dtype: torch.dtype | None) -> safetensors_file.Tensor:
    """Return a tensor for `safetensors_file.write`, which reads it when it is written."""
    dtype = dtype or TORCH_TYPES[tensor.dtype]

    def chunks() -> Iterator[memoryview]:
        flat = tensor.read(dtype).reshape(-1)
        if flat.numel():
            yield flat.view(torch.uint8).numpy().data

    return safetensors_file.Tensor(NAMES[dtype], tensor.shape, chunks)


def _widest(tensors: Mapping[str, Stored]) -> torch.dtype:
    types = {TORCH_TYPES[tensor.dtype] for tensor in tensors.values()}
    return types.pop() if len(types) == 1 else torch.float32


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


class FirstGPTTokenizer(Tokenizer):
    """The first GPT's BPE over BERT's words, as transformers' OpenAIGPTTokenizer.

    Words are lower-cased and merged up to an end-of-word mark (Radford et al., 2018). Upper case,
    accents and the kind of white space are lost. There is no end-of-text token; `<unk>`, which no
    ordinary text contains, stands for it.
    """

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
        """Raise TokenizerError: this tokenizer takes no new markers."""
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
            "unk_token": _UNKNOWN,
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
    """Return a tokenizer.json that encodes as the first GPT does."""
    engine = tokenizers.Tokenizer(
        models.BPE(vocab=ids, merges=merges, end_of_word_suffix=_END_OF_WORD, unk_token=_UNKNOWN)
    )
    engine.normalizer = normalizers.BertNormalizer(lowercase=True)
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.BPEDecoder(suffix=_END_OF_WORD)
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
    if _UNKNOWN not in ids or max(ids.values()) > 1 << 24:
        raise ModelError(f"{path} is not a vocabulary of the first GPT: it lacks {_UNKNOWN}.")
    pairs: list[tuple[str, str]] = []
    for merge in merges if isinstance(merges, list) else ():
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not (isinstance(parts, list) and len(parts) == 2 and "".join(parts) in ids):
            raise ModelError(f"{path} is damaged: it merges {str(merge)[:80]!r} into no token.")
        pairs.append((parts[0], parts[1]))
    markers = {_UNKNOWN: ids[_UNKNOWN], **added}
    return Vocabulary(ids, tuple(pairs), markers, _UNKNOWN, library=_engine(ids, pairs))
