"""Write a model in CTranslate2's format, without CTranslate2.

model.bin (binary version 6) is a list of variables, sorted by name: a name, a shape, a type and the
bytes; then aliases of variables. Integers are little-endian. The layout is that of
ctranslate2/specs/model_spec.py; matrices are [out, in] there, GPT-2's are [in, out].

Legend: I inputs of a matrix, O its outputs.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from penwright.errors import UsageError
from penwright.model.config import GPT2Config
from penwright.tokens.bpe import Tokenizer
from penwright.weights.stored import Stored

DTYPES = {
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "int8": torch.float32,
}
"""The types to write; with int8 the matrices are int8 and the rest float32."""
_VERSION, _REVISION = 6, 8
_TYPE_IDS = {
    torch.float32: 0,
    torch.int8: 1,
    torch.int16: 2,
    torch.int32: 3,
    torch.float16: 4,
    torch.bfloat16: 5,
}
_TANH_GELU, _GELU = 1, 3


@dataclass(frozen=True)
class _Variable:
    """A variable of model.bin; `make` computes it when it is written."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]


def write(
    folder: Path,
    config: GPT2Config,
    tensors: Mapping[str, Stored],
    tokenizer: Tokenizer,
    dtype: str = "f32",
) -> None:
    """Write model.bin, config.json and vocabulary.json, and the tokenizer's own files.

    Holds one matrix at a time. Raises UsageError for an unknown `dtype`.
    """
    if dtype not in DTYPES:
        raise UsageError(f"CTranslate2 models cannot be {dtype}.", fix=f"Use {', '.join(DTYPES)}.")
    tokenizer.save(folder)
    tokens = token_spellings(tokenizer, config.vocab_size)
    _write_json(folder / "vocabulary.json", tokens)
    end = tokens[tokenizer.eot_id]
    _write_json(
        folder / "config.json",
        {
            "bos_token": end,
            "eos_token": end,
            "layer_norm_epsilon": config.layer_norm_epsilon,
            "multi_query_attention": True,
            "unk_token": end,
        },
    )
    with (folder / "model.bin").open("wb") as file:
        _write_model(file, _variables(config, tensors, dtype), _aliases(config))


def token_spellings(tokenizer: Tokenizer, size: int) -> list[str]:
    """Return each id's token as tokenizer.json spells it; `<|unused7|>` for an unused id 7."""
    vocabulary = tokenizer.vocabulary
    spellings = [f"<|unused{id_}|>" for id_ in range(size)]
    for table in (vocabulary.ids, vocabulary.markers):
        for spelling, id_ in table.items():
            if id_ < size:
                spellings[id_] = spelling
    return spellings


def _scalar(value: int, dtype: torch.dtype) -> _Variable:
    return _Variable((), dtype, lambda: torch.tensor(value, dtype=dtype))


def _variables(
    config: GPT2Config, tensors: Mapping[str, Stored], dtype: str
) -> dict[str, _Variable]:
    kind = DTYPES[dtype]
    found = {
        "activation": _scalar(_TANH_GELU if config.tanh_gelu else _GELU, torch.int8),
        "alibi": _scalar(0, torch.int8),
        "alibi_use_positive_positions": _scalar(0, torch.int8),
        "alignment_heads": _scalar(1, torch.int16),
        "alignment_layer": _scalar(-1, torch.int16),
        "num_heads": _scalar(config.n_head, torch.int16),
        "pre_norm": _scalar(0 if config.first_gpt else 1, torch.int8),
        "scale_alibi": _scalar(0, torch.int8),
        "scale_embeddings": _scalar(0, torch.int8),
        "start_from_zero_embedding": _scalar(0, torch.int8),
    }
    positions = tensors["transformer.positions_embed.weight" if config.first_gpt else _POSITIONS]
    found["position_encodings/encodings"] = _plain(positions, kind)
    tokens = tensors["transformer.tokens_embed.weight" if config.first_gpt else _TOKENS]
    found |= _matrix("embeddings", tokens, dtype, transpose=False)
    if not config.tie_word_embeddings:
        found |= _matrix("projection", tensors["lm_head.weight"], dtype, transpose=False)
    if not config.first_gpt:
        found |= _norm("layer_norm", tensors, "transformer.ln_f", kind)
    for layer in range(config.n_layer):
        found |= _layer(config, tensors, layer, dtype)
    return {f"decoder/{name}": variable for name, variable in found.items()}


_TOKENS, _POSITIONS = "transformer.wte.weight", "transformer.wpe.weight"


def _layer(
    config: GPT2Config, tensors: Mapping[str, Stored], layer: int, dtype: str
) -> dict[str, _Variable]:
    ours, theirs = f"transformer.h.{layer}", f"layer_{layer}"
    kind = DTYPES[dtype]
    found: dict[str, _Variable] = {}
    for their_part, our_norm, our_matrices in (
        ("self_attention", "ln_1", {"linear_0": "attn.c_attn", "linear_1": "attn.c_proj"}),
        ("ffn", "ln_2", {"linear_0": "mlp.c_fc", "linear_1": "mlp.c_proj"}),
    ):
        found |= _norm(f"{theirs}/{their_part}/layer_norm", tensors, f"{ours}.{our_norm}", kind)
        for their_name, our_name in our_matrices.items():
            name = f"{theirs}/{their_part}/{their_name}"
            found |= _matrix(name, tensors[f"{ours}.{our_name}.weight"], dtype, transpose=True)
            found[f"{name}/bias"] = _plain(tensors[f"{ours}.{our_name}.bias"], kind)
    scale = config.attention_scale(layer)
    if scale != config.head_dim**-0.5:
        found[f"{theirs}/self_attention/queries_scale"] = _Variable(
            (), torch.float32, lambda: torch.tensor(scale, dtype=torch.float32)
        )
    return found


def _plain(tensor: Stored, dtype: torch.dtype) -> _Variable:
    return _Variable(tensor.shape, dtype, lambda: tensor.read(dtype))


def _norm(
    name: str, tensors: Mapping[str, Stored], ours: str, dtype: torch.dtype
) -> dict[str, _Variable]:
    return {
        f"{name}/beta": _plain(tensors[f"{ours}.bias"], dtype),
        f"{name}/gamma": _plain(tensors[f"{ours}.weight"], dtype),
    }


def _matrix(name: str, tensor: Stored, dtype: str, *, transpose: bool) -> dict[str, _Variable]:
    """Return a matrix as [out, in], and with int8 the scale of each of its rows."""
    shape = tensor.shape[::-1] if transpose else tensor.shape
    kind = torch.int8 if dtype == "int8" else DTYPES[dtype]

    def read() -> Tensor:
        weight = tensor.read(torch.float32 if dtype == "int8" else kind)
        return weight.T.contiguous() if transpose else weight

    def scale() -> Tensor:
        return _row_scale(read())

    def quantized() -> Tensor:
        weight_OI = read()
        return torch.round(weight_OI * _row_scale(weight_OI)[:, None]).to(kind)

    if dtype != "int8":
        return {f"{name}/weight": _Variable(shape, kind, read)}
    return {
        f"{name}/weight": _Variable(shape, kind, quantized),
        f"{name}/weight_scale": _Variable(shape[:1], torch.float32, scale),
    }


def _row_scale(weight_OI: Tensor) -> Tensor:
    """Return the factor that makes the largest number of each row 127; 1 for rows of zeros."""
    largest = weight_OI.abs().amax(1)
    whole = torch.full_like(largest, 127.0)
    return whole / torch.where(largest == 0, whole, largest)


def _aliases(config: GPT2Config) -> dict[str, str]:
    if config.tie_word_embeddings:
        return {"decoder/projection/weight": "decoder/embeddings/weight"}
    return {}


def _write_model(
    file: BinaryIO, variables: Mapping[str, _Variable], aliases: Mapping[str, str]
) -> None:
    def write_name(text: str) -> None:
        raw = text.encode() + b"\0"
        file.write(struct.pack("<H", len(raw)) + raw)

    file.write(struct.pack("<I", _VERSION))
    write_name("TransformerDecoderSpec")
    file.write(struct.pack("<II", _REVISION, len(variables)))
    for name, variable in sorted(variables.items()):
        write_name(name)
        file.write(struct.pack("<B", len(variable.shape)))
        file.write(struct.pack(f"<{len(variable.shape)}I", *variable.shape))
        tensor = variable.make().contiguous()
        size = tensor.numel() * tensor.element_size()
        file.write(struct.pack("<BI", _TYPE_IDS[variable.dtype], size))
        file.write(tensor.reshape(-1).view(torch.uint8).numpy().data)
    file.write(struct.pack("<I", len(aliases)))
    for alias, name in aliases.items():
        write_name(alias)
        write_name(name)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
