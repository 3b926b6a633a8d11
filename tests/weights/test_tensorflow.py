"""Checkpoints that the real TensorFlow wrote, read without it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penwright import weights
from penwright.errors import ModelError
from penwright.tokens.bpe import Tokenizer
from penwright.weights import openai_tf, tensor_bundle
from penwright.weights.tensor_bundle import crc32c

from .goldens import make_tensorflow as golden

GOLDENS = Path(__file__).parent / "goldens"
INDEX, DATA = "model-500.index", "model-500.data-00000-of-00001"


@pytest.fixture
def run1(tmp_path: Path) -> Path:
    """A copy of the golden run, with a tokenizer as gpt-2-simple leaves it there."""
    folder = tmp_path / "checkpoint" / "run1"
    shutil.copytree(GOLDENS / "run1", folder)
    Tokenizer.train(["one two three one two three four five " * 9], 300).save(tmp_path / "t")
    shutil.copy(tmp_path / "t" / "vocab.json", folder / "encoder.json")
    shutil.copy(tmp_path / "t" / "merges.txt", folder / "vocab.bpe")
    return folder


def assert_golden(prefix: Path) -> None:
    tensors = openai_tf.read_tensors(prefix)
    assert len(tensors) == len(golden.shapes())
    for name, shape in golden.shapes().items():
        full = openai_tf.hugging_face_name(name)
        assert full is not None
        expected = torch.from_numpy(golden.numbers(name, shape))
        expected = expected[0] if expected.ndim == 3 else expected
        assert torch.equal(tensors[full].read(), expected)
        assert torch.equal(tensors[full].read(torch.bfloat16), expected.bfloat16())


@pytest.mark.parametrize("folder", ["run1", "sharded"])
def test_reads_what_tensorflow_wrote(folder: str) -> None:
    assert_golden(GOLDENS / folder / "model-500")


@pytest.mark.slow
def test_reads_what_the_installed_tensorflow_writes(tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    subprocess.run([sys.executable, golden.__file__, str(tmp_path)], check=True)
    assert_golden(tmp_path / "run1" / "model-500")
    assert_golden(tmp_path / "sharded" / "model-500")


def test_a_run_of_gpt_2_simple_opens(run1: Path) -> None:
    for name in (run1, run1 / "model-500", run1 / INDEX):
        opened = weights.open(name)
        assert (opened.model.config.n_head, opened.model.config.n_layer) == (2, 2)
        wte = golden.numbers("model/wte", (300, 8))
        assert torch.equal(opened.model.embed_tokens.weight, torch.from_numpy(wte))
        assert opened.tokenizer.decode(opened.tokenizer.encode("one six")) == "one six"


def test_the_checkpoint_file_names_the_latest(run1: Path) -> None:
    for file in list(run1.glob("model-500.*")):
        shutil.copy(file, run1 / file.name.replace("500", "600"))
    assert openai_tf.find_prefix(run1).name == "model-500"
    (run1 / "checkpoint").write_text('model_checkpoint_path: "/old/machine/model-600"\n')
    assert openai_tf.find_prefix(run1) == run1 / "model-600"
    (run1 / "checkpoint").write_text('model_checkpoint_path: "../../secret"\n')
    with pytest.raises(ModelError, match="names 'secret', which is not in"):
        openai_tf.find_prefix(run1)
    (run1 / "checkpoint").unlink()
    with pytest.raises(ModelError, match="several checkpoints"):
        openai_tf.find_prefix(run1)


def test_sizes_without_hparams(run1: Path) -> None:
    (run1 / "hparams.json").unlink()
    config = openai_tf.read_config(run1 / "model-500")
    sizes = (config.vocab_size, config.n_positions, config.n_embd, config.n_layer, config.n_head)
    assert sizes == (300, 16, 8, 2, 1)


def test_a_flipped_byte_is_named(run1: Path) -> None:
    data = bytearray((run1 / DATA).read_bytes())
    variable = openai_tf.variables(run1 / "model-500")["transformer.h.1.mlp.c_fc.weight"]
    data[variable.offset + 5] ^= 1
    (run1 / DATA).write_bytes(data)
    with pytest.raises(ModelError, match=r"checksum of 'model/h1/mlp/c_fc/w' is wrong"):
        weights.open(run1)


def test_a_missing_or_short_shard(run1: Path) -> None:
    content = (run1 / DATA).read_bytes()
    (run1 / DATA).write_bytes(content[:-1])
    with pytest.raises(ModelError, match=r"has 17151 bytes, model-500.index says 17152"):
        weights.open(run1)
    (run1 / DATA).unlink()
    with pytest.raises(ModelError, match=f"{DATA} is missing"):
        weights.open(run1)


def test_an_index_with_any_flipped_byte_is_refused(run1: Path) -> None:
    content = (run1 / INDEX).read_bytes()
    right = openai_tf.variables(run1 / "model-500")
    for place in range(len(content)):
        (run1 / INDEX).write_bytes(
            content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :]
        )
        try:
            found = openai_tf.variables(run1 / "model-500")
        except ModelError:
            continue
        assert found == right  # a byte that nothing depends on, such as padding


def test_the_optimizers_variables_are_passed_over_and_strange_ones_named(
    run1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tensor_bundle.read_index(run1 / "model-500")
    extra = dict.fromkeys(("model/wte/Adam_1", "beta1_power"), real["model/wte"])
    monkeypatch.setattr(tensor_bundle, "read_index", lambda _: real | extra)
    assert len(openai_tf.variables(run1 / "model-500")) == len(real)
    extra["model/h0/gate/w"] = real["model/wte"]
    with pytest.raises(ModelError, match="does not have: model/h0/gate/w"):
        openai_tf.variables(run1 / "model-500")


def slow_crc(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_crc_equals_the_plain_one(head: bytes, tail: bytes) -> None:
    assert crc32c(crc32c(0, head), tail) == slow_crc(head + tail)


def test_crc_of_long_messages() -> None:
    assert crc32c(0, b"123456789") == 0xE3069283
    data = np.arange(40_000, dtype=np.uint16).tobytes()
    for size in (32_767, 32_768, 32_772, 65_540, 79_999):
        assert crc32c(0, data[:size]) == slow_crc(data[:size])
