"""Write a model in GGUF, for llama.cpp and Ollama, with llama.cpp's `gguf` package.

Names are those of llama.cpp's `gpt2` architecture; matrices are [out, in] there. Norms, biases and
positions stay float32, as in llama.cpp's own converter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from penwright.errors import MissingExtraError, ModelError, UsageError
from penwright.model.config import GPT2Config
from penwright.tokens.bpe import Tokenizer
from penwright.weights.ctranslate2 import token_spellings
from penwright.weights.stored import Stored

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType, GGUFWriter

DTYPES = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16"}
DTYPES |= {"q8_0": "MOSTLY_Q8_0", "q4_0": "MOSTLY_Q4_0"}
"""The types of matrices, and llama.cpp's name of such a file."""
_BLOCK = 32
"""Numbers in a block of q8_0 and q4_0; the length of a row must be a multiple."""
_NORMAL, _CONTROL, _UNUSED = 1, 3, 5
_PARTS = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


@dataclass(frozen=True)
class _Output:
    """A tensor of the file; `make()` returns it in float32."""

    shape: tuple[int, ...]
    quantized: bool
    make: Callable[[], torch.Tensor]


def write(
    path: Path,
    config: GPT2Config,
    tensors: Mapping[str, Stored],
    tokenizer: Tokenizer,
    dtype: str = "f16",
    *,
    name: str = "penwright",
) -> None:
    """Write the GGUF file at `path`, holding one tensor at a time.

    Raises MissingExtraError without the package, UsageError for an unknown `dtype`, ModelError
    for a model that llama.cpp's GPT-2 cannot compute.
    """
    try:
        import gguf
    except ImportError:
        raise MissingExtraError("Writing GGUF", "gguf") from None
    if dtype not in DTYPES:
        raise UsageError(f"GGUF models cannot be {dtype}.", fix=f"Use {', '.join(DTYPES)}.")
    if config.first_gpt:
        raise ModelError("llama.cpp runs GPT-2, but not the first GPT.", fix=_INSTEAD)
    if tokenizer.vocabulary.library:
        raise ModelError("GGUF can be written only with GPT-2's kind of tokenizer.", fix=_INSTEAD)
    if not config.tanh_gelu:
        raise ModelError(
            f"llama.cpp's GPT-2 has only the tanh GELU, this model has "
            f"'{config.activation_function}'.",
            fix=_INSTEAD,
        )
    writer = gguf.GGUFWriter(path, "gpt2")
    _add_settings(writer, config, gguf.LlamaFileType[DTYPES[dtype]], name)
    _add_tokenizer(writer, config, tokenizer)
    outputs = dict(_outputs(config, tensors))
    kinds = {key: _kind(gguf.GGMLQuantizationType, out, dtype) for key, out in outputs.items()}
    for key, out in outputs.items():
        block, size = gguf.GGML_QUANT_SIZES[kinds[key]]
        n_bytes = int(np.prod(out.shape)) // block * size
        writer.add_tensor_info(key, out.shape, np.dtype(np.float32), n_bytes, kinds[key])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for key, out in outputs.items():
        numbers: npt.NDArray[np.float32] = out.make().contiguous().numpy()
        writer.write_tensor_data(gguf.quants.quantize(numbers, kinds[key]))
    writer.close()


_INSTEAD = "Export it with --to huggingface or --to ctranslate2."


def _add_settings(writer: GGUFWriter, config: GPT2Config, file_type: int, name: str) -> None:
    writer.add_name(name)
    writer.add_block_count(config.n_layer)
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.inner)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_file_type(file_type)


def _add_tokenizer(writer: GGUFWriter, config: GPT2Config, tokenizer: Tokenizer) -> None:
    tokens = token_spellings(tokenizer, config.vocab_size)
    vocabulary = tokenizer.vocabulary
    types = [_UNUSED] * config.vocab_size
    for id_ in vocabulary.ids.values():
        types[id_] = _NORMAL
    for id_ in vocabulary.markers.values():
        if id_ < config.vocab_size:
            types[id_] = _CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([f"{left} {right}" for left, right in vocabulary.merges])
    writer.add_bos_token_id(tokenizer.eot_id)
    writer.add_eos_token_id(tokenizer.eot_id)
    writer.add_add_bos_token(True)


def _outputs(config: GPT2Config, tensors: Mapping[str, Stored]) -> Iterator[tuple[str, _Output]]:
    tokens, positions = tensors["transformer.wte.weight"], tensors["transformer.wpe.weight"]
    yield "token_embd.weight", _Output(tokens.shape, True, partial(tokens.read, torch.float32))
    yield (
        "position_embd.weight",
        _Output(positions.shape, False, partial(positions.read, torch.float32)),
    )
    for layer in range(config.n_layer):
        for ours, theirs in _PARTS.items():
            name = f"transformer.h.{layer}.{ours}"
            factor = _query_factor(config, layer) if theirs == "attn_qkv" else 1.0
            weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
            matrix = len(weight.shape) == 2
            yield (
                f"blk.{layer}.{theirs}.weight",
                _Output(weight.shape[::-1], matrix, partial(_read, config, weight, factor)),
            )
            yield (
                f"blk.{layer}.{theirs}.bias",
                _Output(bias.shape, False, partial(_read, config, bias, factor)),
            )
    for kind in ("weight", "bias"):
        norm = tensors[f"transformer.ln_f.{kind}"]
        yield f"output_norm.{kind}", _Output(norm.shape, False, partial(norm.read, torch.float32))
    if not config.tie_word_embeddings:
        head = tensors["lm_head.weight"]
        yield "output.weight", _Output(head.shape, True, partial(head.read, torch.float32))


def _query_factor(config: GPT2Config, layer: int) -> float:
    """Return the factor for the queries: llama.cpp always scales attention by 1 / sqrt(D)."""
    return config.attention_scale(layer) * math.sqrt(config.head_dim)


def _read(config: GPT2Config, tensor: Stored, factor: float) -> torch.Tensor:
    """Return a tensor in float32, matrices as [out, in], the queries multiplied by `factor`."""
    numbers = tensor.read(torch.float32)
    if factor != 1.0:
        numbers[..., : config.n_embd] *= factor
    return numbers.T if numbers.ndim == 2 else numbers


def _kind(types: type[Any], out: _Output, dtype: str) -> GGMLQuantizationType:
    """Return a tensor's type: `dtype` for matrices whose rows are whole blocks."""
    if not out.quantized:
        kind = types.F32
    elif dtype in ("q8_0", "q4_0") and out.shape[-1] % _BLOCK:
        kind = types.F16
    else:
        kind = types[dtype.upper()]
    return kind  # type: ignore[no-any-return]
