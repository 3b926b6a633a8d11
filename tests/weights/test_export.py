"""What we write for other runtimes, run in them where they are installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch

from penwright import weights
from penwright.config import ExportConfig
from penwright.errors import ModelError, UsageError
from penwright.model import GPT2
from penwright.tokens.bpe import Tokenizer
from penwright.weights.exporting import FORMATS

from .models import random_model, tiny_config

QUIET = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def save_model(folder: Path, tokenizer: Tokenizer, **changes: Any) -> Path:
    model = random_model(tiny_config(**changes))
    weights.save(folder, model, tokenizer, card="# mine\n", penwright={"stop": ["x"]})
    return folder


def exported(model: str | Path, to: str, out: Path, **options: Any) -> weights.Checked:
    if not FORMATS[to].runtime.is_installed:
        pytest.skip(f"{FORMATS[to].runtime.package} is not installed")
    checked = weights.export(model, to, out, check=True, **options).checked
    assert checked is not None
    return checked


def test_hugging_face_in_shards(saved: tuple[Path, GPT2], tmp_path: Path) -> None:
    folder, model = saved
    out = tmp_path / "out"
    checked = exported(folder, "huggingface", out, dtype="f32", shard_bytes=100_000)
    assert checked.largest < 1e-4
    assert (out / "model.safetensors.index.json").is_file()
    assert (out / "README.md").read_text() == "# card\n"
    assert weights.open(out).format == {"stop": ["\n"]}
    half = weights.export(folder, "huggingface", tmp_path / "half", dtype="f16")
    assert half.bytes < weights.export(folder, "huggingface", tmp_path / "whole").bytes
    wte = weights.open(tmp_path / "half").model.embed_tokens.weight
    assert torch.equal(wte, model.embed_tokens.weight.half())


@QUIET
@pytest.mark.parametrize("dtype", [None, "int8", "f16"])
def test_ctranslate2_writes_the_same_file(
    saved: tuple[Path, GPT2], tmp_path: Path, dtype: str | None
) -> None:
    converters = pytest.importorskip("ctranslate2.converters")
    folder, _ = saved
    quantization = {"f16": "float16"}.get(str(dtype), dtype)
    theirs = converters.TransformersConverter(str(folder))
    theirs.convert(str(tmp_path / "theirs"), quantization=quantization)
    out = weights.export(folder, "ctranslate2", tmp_path / "ours", dtype=dtype).path
    assert (out / "model.bin").read_bytes() == (tmp_path / "theirs" / "model.bin").read_bytes()
    ours, others = (
        json.loads((folder / "vocabulary.json").read_text())
        for folder in (out, tmp_path / "theirs")
    )
    assert ours == others


@QUIET
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": False, "activation_function": "gelu", "n_inner": 24},
        {"scale_attn_by_inverse_layer_idx": True, "layer_norm_epsilon": 1e-3},
        {"scale_attn_weights": False},
    ],
)
def test_ctranslate2_computes_the_same(
    tmp_path: Path, base_tokenizer: Tokenizer, changes: dict[str, Any]
) -> None:
    model = save_model(tmp_path / "model", base_tokenizer, **changes)
    assert exported(model, "ctranslate2", tmp_path / "f32").largest < 1e-4
    assert exported(model, "ctranslate2", tmp_path / "int8", dtype="int8").largest < 3


@QUIET
@pytest.mark.parametrize(
    "changes",
    [
        {"n_embd": 64},
        {"n_embd": 64, "tie_word_embeddings": False, "n_inner": 96, "layer_norm_epsilon": 1e-3},
        {"n_embd": 64, "scale_attn_by_inverse_layer_idx": True},
    ],
)
def test_llama_cpp_computes_the_same(
    tmp_path: Path, base_tokenizer: Tokenizer, changes: dict[str, Any]
) -> None:
    model = save_model(tmp_path / "model", base_tokenizer, **changes)
    out = tmp_path / "x.gguf"
    # llama.cpp looks its GELU up in a table of 16-bit floats.
    assert exported(model, "gguf", out, dtype="f32").largest < 0.05
    assert [file.name for file in tmp_path.glob("*gguf*")] == ["x.gguf"]


@QUIET
def test_every_type_of_gguf_on_real_weights(tmp_path: Path) -> None:
    most = {"f32": 0.02, "f16": 0.03, "bf16": 0.3, "q8_0": 0.5, "q4_0": 8}
    for dtype, limit in most.items():
        checked = exported("base", "gguf", tmp_path / dtype, dtype=dtype)
        assert checked.largest < limit
        assert (tmp_path / dtype / f"base-{dtype}.gguf").is_file()


@QUIET
def test_llama_cpp_reads_our_tokenizer(tmp_path: Path, base_tokenizer: Tokenizer) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    path = weights.export("base", "gguf", tmp_path / "base.gguf").path
    theirs = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    for text in ("Once upon a time, in 1848", "  two  spaces\n\n and naïve 🙂", "can't <x>"):
        ids = theirs.tokenize(text.encode(), add_bos=False, special=False)
        assert ids == base_tokenizer.encode(text)
        assert theirs.detokenize(ids).decode() == text
    theirs.close()


def test_what_gguf_cannot_say(tmp_path: Path, base_tokenizer: Tokenizer) -> None:
    pytest.importorskip("gguf")
    model = save_model(tmp_path / "model", base_tokenizer, activation_function="gelu")
    with pytest.raises(ModelError, match="only the tanh GELU"):
        weights.export(model, "gguf", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"to": "onnx"}, "no format 'onnx'"),
        ({"to": "gguf", "dtype": "q9"}, "cannot write q9"),
        ({"to": "adapter"}, "whole model, not an adapter"),
        ({"to": "huggingface", "out": "used"}, "exists already"),
    ],
)
def test_requests_that_cannot_be(
    saved: tuple[Path, GPT2], tmp_path: Path, options: dict[str, str], says: str
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    out = tmp_path / options.pop("out", "free")
    with pytest.raises(UsageError, match=says):
        weights.export(saved[0], out=out, **options)


def test_merge_of_an_adapter(saved: tuple[Path, GPT2], tmp_path: Path) -> None:
    from .test_peft import make_adapter

    base, model = saved
    from penwright.weights import peft

    adapter = make_adapter(model, base)
    peft.save_adapter(tmp_path / "adapter", adapter)
    out = weights.merge(base, tmp_path / "adapter", tmp_path / "merged")
    merged, live = weights.open(out), weights.open(tmp_path / "adapter")
    for name, tensor in merged.model.state_dict().items():
        assert torch.equal(tensor, live.model.state_dict()[name])
    with pytest.raises(UsageError, match="is not an adapter"):
        weights.merge(base, base, tmp_path / "other")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:peft")
def test_an_adapter_goes_out_and_is_checked(saved: tuple[Path, GPT2], tmp_path: Path) -> None:
    from penwright.weights import peft

    from .test_peft import make_adapter

    base, model = saved
    peft.save_adapter(tmp_path / "adapter", make_adapter(model, base))
    assert exported(tmp_path / "adapter", "adapter", tmp_path / "out").largest < 1e-4
    settings = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(base.resolve())


def test_the_command_line_offers_every_format() -> None:
    assert get_args(get_type_hints(ExportConfig)["to"]) == tuple(FORMATS)
