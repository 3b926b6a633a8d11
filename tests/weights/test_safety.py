"""Files that are damaged or made to harm: one clear sentence, and nothing runs, hangs or bursts."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from penwright import weights
from penwright.errors import ModelError, PenwrightError
from penwright.model import GPT2
from penwright.tokens.bpe import Tokenizer
from penwright.weights import keras_h5, names, openai_tf, pytorch_file, safetensors_file, stored
from penwright.weights.stored import build

from .models import random_model, tiny_config
from .test_keras import write_keras
from .test_tensorflow import DATA, GOLDENS, INDEX

SECONDS = 5
MEGABYTES = 400


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Path, GPT2]:
    """A model folder of some kilobytes, in two shards."""
    tokenizer = Tokenizer.train(["one two three two one"], 260)
    config = tiny_config(vocab_size=260, n_embd=4, n_layer=1, n_positions=8)
    model = random_model(config)
    folder = tmp_path / "tiny"
    weights.save(folder, model, tokenizer, card="", penwright={}, shard_bytes=3_000)
    return folder, model


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("how", ["zip", "legacy", "plain"])
def test_a_pickle_that_carries_code_is_refused_and_nothing_runs(
    tiny: tuple[Path, GPT2], tmp_path: Path, how: str
) -> None:
    folder, model = tiny
    for file in folder.glob("model*"):
        file.unlink()
    path, trace = folder / "pytorch_model.bin", tmp_path / "it-ran"
    state = {**model.state_dict(), "transformer.evil": Evil(trace)}
    if how == "plain":
        path.write_bytes(pickle.dumps(state))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(ModelError, match="was refused, since it is damaged or carries code"):
        weights.open(folder)
    assert not trace.exists()
    torch.load(path, weights_only=False) if how != "plain" else pickle.loads(path.read_bytes())
    assert trace.exists()  # so the trap was a real one


def test_a_packed_archive_is_refused(tiny: tuple[Path, GPT2], tmp_path: Path) -> None:
    _, model = tiny
    torch.save(model.state_dict(), tmp_path / "a.bin")
    with (
        zipfile.ZipFile(tmp_path / "a.bin") as old,
        zipfile.ZipFile(tmp_path / "b.bin", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ModelError, match="parts of it are compressed"):
        pytorch_file.pickled(tmp_path / "b.bin")


@pytest.mark.parametrize(
    "file", ["../secret.safetensors", "/etc/passwd", "..", "a\\b", "C:x", "", "a\0b", 3, None]
)
def test_an_index_that_points_elsewhere_is_refused(tiny: tuple[Path, GPT2], file: object) -> None:
    folder, _ = tiny
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    shutil.copy(next(folder.glob("model-*")), folder.parent / "secret.safetensors")
    content["weight_map"]["transformer.wte.weight"] = file
    index.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="not a file in its folder"):
        weights.open(folder)
    with pytest.raises(ModelError, match="not a file in its folder"):
        weights.describe(folder)


def test_a_shard_that_is_missing_or_holds_other_tensors(tiny: tuple[Path, GPT2]) -> None:
    folder, _ = tiny
    first, second, *_ = sorted(folder.glob("model-*"))
    shutil.copy(first, second)
    with pytest.raises(ModelError, match=r"differ in: transformer\..* and \d more"):
        weights.open(folder)
    second.unlink()
    with pytest.raises(ModelError, match=f"{second.name} is missing"):
        weights.open(folder)


def safetensors_bytes(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cut short"),
        (struct.pack("<Q", 1 << 60) + b"{}", "cut short"),
        (safetensors_bytes(b"{not json"), "not valid JSON"),
        (safetensors_bytes(b"[" * 100_000), "not valid JSON"),
        (safetensors_bytes([]), "no JSON object"),
        (safetensors_bytes(b'{"a": {}, "a": {}}'), "twice"),
        (
            safetensors_bytes({"a": ONE | {"shape": [3]}}, b"x" * 8),
            "has 8 bytes, which does not match",
        ),
        (safetensors_bytes({"a": ONE | {"shape": [-2]}}, b"x" * 8), "whole numbers"),
        (safetensors_bytes({"a": ONE | {"shape": [True, 2]}}, b"x" * 8), "whole numbers"),
        (safetensors_bytes({"a": ONE | {"dtype": "F31"}}, b"x" * 8), "unknown type 'F31'"),
        (safetensors_bytes({"a": ONE}, b"x" * 7), "has 7 bytes of tensors, its header says 8"),
        (safetensors_bytes({"a": ONE}, b"x" * 9), "has 9 bytes of tensors, its header says 8"),
        (safetensors_bytes({"a": ONE, "b": ONE}, b"x" * 8), "overlap"),
        (safetensors_bytes({"a": 3}), "no type, shape and place for 'a'"),
    ],
)
def test_damaged_safetensors(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"x.safetensors is damaged: .*{says}"):
        safetensors_file.read_header(path)


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_bytes({"a": ONE}, b"x" * 8))
    tensor = stored.safetensors(path)["a"]
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ModelError, match="cut short"):
        tensor.read()


def mutate(data: bytes, chance: random.Random, end: int) -> bytes:
    """`data` with something wrong in its first `end` bytes."""
    changed = bytearray(data)
    at, other = chance.randrange(end), chance.randrange(end)
    match chance.randrange(6):
        case 0:
            changed[at] ^= 1 << chance.randrange(8)
        case 1:
            changed[at] = chance.randrange(256)
        case 2:
            changed[at], changed[other] = changed[other], changed[at]
        case 3:
            del changed[at:]
        case 4:
            del changed[at : at + chance.randrange(1, 9)]
        case 5:
            changed[at:at] = chance.randbytes(chance.randrange(1, 9))
    return bytes(changed)


class Target:
    """One file to damage, how to open what it belongs to, and what may come of it."""

    def __init__(self, path: Path, end: int | None, read: Callable[[], dict[str, torch.Tensor]]):
        self.path, self.read = path, read
        self.content = path.read_bytes()
        self.end = end or len(self.content)
        self.right = read()

    def try_one(self, chance: random.Random) -> None:
        self.path.write_bytes(mutate(self.content, chance, self.end))
        start = time.monotonic()
        try:
            found = self.read()
        except PenwrightError as error:
            said = str(error)
        else:
            said = ""
            assert found.keys() == self.right.keys()
            wrong = [key for key in found if not torch.equal(found[key], self.right[key])]
            assert not wrong or self.is_what_the_file_says_now(found)
        finally:
            self.path.write_bytes(self.content)
        assert time.monotonic() - start < SECONDS
        assert len(said) < 1_500

    def is_what_the_file_says_now(self, found: dict[str, torch.Tensor]) -> bool:
        """Names of a header can be exchanged without a trace: then its own library agrees."""
        if self.path.suffix != ".safetensors":
            return self.path.suffix in (".h5", ".bin")  # formats without checksums
        with safe_open(self.path, "pt") as theirs:
            return all(torch.equal(found[key], theirs.get_tensor(key)) for key in theirs.keys())  # noqa: SIM118


def make_targets(tiny: tuple[Path, GPT2], tmp_path: Path) -> list[Target]:
    folder, model = tiny
    config = model.config

    def opened() -> dict[str, torch.Tensor]:
        return dict(weights.open(folder).model.state_dict())

    def built(read: Callable[[], dict[str, stored.Stored]]) -> dict[str, torch.Tensor]:
        return dict(build(config, read(), "it").state_dict())

    shard = sorted(folder.glob("model-*"))[0]
    header = 8 + struct.unpack("<Q", shard.read_bytes()[:8])[0]
    run = tmp_path / "run1"
    shutil.copytree(GOLDENS / "run1", run)

    def bundle() -> dict[str, torch.Tensor]:
        tensors = openai_tf.read_tensors(run / "model-500")
        return {name: tensor.read() for name, tensor in tensors.items()}

    h5, pickled = tmp_path / "x.h5", tmp_path / "x.bin"
    write_keras(h5, model)
    torch.save(model.state_dict(), pickled)
    return [
        Target(shard, header, opened),
        Target(folder / "model.safetensors.index.json", None, opened),
        Target(run / INDEX, None, bundle),
        Target(run / DATA, None, bundle),
        Target(h5, 2_000, lambda: built(lambda: keras_h5.read_tensors(h5))),
        Target(pickled, None, lambda: built(lambda: pytorch_file.pickled(pickled))),
    ]


@pytest.mark.parametrize("count", [120, pytest.param(2_000, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore")
def test_mutated_checkpoints(tiny: tuple[Path, GPT2], tmp_path: Path, count: int) -> None:
    targets = make_targets(tiny, tmp_path)
    resource = pytest.importorskip("resource", reason="Windows tells no peak of memory")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        targets[number % len(targets)].try_one(random.Random(number))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES


def test_base_is_sound() -> None:
    entries = safetensors_file.read_header(names.base_folder() / "model.safetensors")
    assert sum(entry.length for entry in entries.values()) == 2 * 6_967_296
