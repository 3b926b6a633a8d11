"""Represent tensors in files before they are read, and build a model from them.

The model is built on the meta device to get its names and shapes; then each tensor is allocated in
the wanted type and filled from its file. Peak memory is the model and one chunk of a file for each
reading thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from penwright.errors import ModelError
from penwright.model.config import GPT2Config
from penwright.model.gpt2 import GPT2
from penwright.weights import safetensors_file
from penwright.weights.safetensors_file import Entry
from penwright.wording import name_list

CHUNK = 1 << 18
"""Numbers read and cast at once, few enough to stay in the cache."""
TORCH_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
NAMES = {kind: name for name, kind in TORCH_TYPES.items()}
FLOATS = ("F64", "F32", "F16", "BF16")
READERS = 4
"""Threads that read files: some wait for the disk while others cast."""
HEAD = "lm_head.weight"
_LAYER = re.compile(r"transformer\.h\.(\d+)\.")
_MASK = re.compile(r"transformer\.h\.\d+\.attn\.(bias|masked_bias)")
_EMBEDDING = re.compile(r"(.*?)(?:transformer\.)?(?:wte|tokens_embed)\.weight")
OTHER_HEADS = {
    "v_head": "a value head, for reinforcement learning",
    "multiple_choice_head": "the multiple-choice head of a double-heads model",
    "score": "the head of a classifier",
    "classifier": "the head of a classifier of tokens",
    "qa_outputs": "a head that answers questions by marking text",
}
"""Heads for other tasks, which generation does not need, by their names."""


@dataclass(frozen=True)
class Stored:
    """A tensor in a file; `fill(target)` copies it into a tensor of its shape and casts it."""

    shape: tuple[int, ...]
    dtype: str
    fill: Callable[[torch.Tensor], None]

    def read(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Read the tensor, in its own type unless `dtype` is given."""
        target = torch.empty(self.shape, dtype=dtype or TORCH_TYPES[self.dtype])
        self.fill(target)
        return target


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    """Return the bytes of a contiguous tensor on the CPU, not copied."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _fill_from_file(entry: Entry, target: torch.Tensor) -> None:
    dtype = TORCH_TYPES[entry.dtype]
    if not target.is_contiguous():
        whole = torch.empty(entry.shape, dtype=dtype)
        _fill_from_file(entry, whole)
        target.copy_(whole)
        return
    flat = target.view(-1)
    if target.dtype == dtype and target.device.type == "cpu":
        for _ in safetensors_file.read_parts(entry, _bytes_of(flat)):
            pass
        return
    chunk = torch.empty(min(CHUNK, flat.numel()), dtype=dtype)
    begin = 0
    for length in safetensors_file.read_parts(entry, _bytes_of(chunk)):
        n = length // dtype.itemsize
        flat[begin : begin + n].copy_(chunk[:n])
        begin += n


def of_entry(entry: Entry) -> Stored:
    """Return a tensor of a safetensors file."""
    return Stored(entry.shape, entry.dtype, partial(_fill_from_file, entry))


def of_tensor(tensor: torch.Tensor) -> Stored:
    """Return a tensor that is in memory or memory-mapped."""

    def fill(target: torch.Tensor) -> None:
        target.copy_(tensor)

    return Stored(tuple(tensor.shape), NAMES.get(tensor.dtype, str(tensor.dtype)), fill)


def safetensors(path: Path) -> dict[str, Stored]:
    """Return the tensors of one safetensors file; raises ModelError when it is damaged."""
    return {name: of_entry(entry) for name, entry in safetensors_file.read_header(path).items()}


def sharded(index: Path, read: Callable[[Path], Mapping[str, Stored]]) -> dict[str, Stored]:
    """Return the tensors of a model in several files, each read with `read`.

    Raises ModelError when a file is missing or holds other tensors than `index` says.
    """
    pairs = safetensors_file.index_files(index)
    found: dict[str, Stored] = {}
    for file in sorted(set(pairs.values())):
        path = index.parent / file
        if not path.is_file():
            raise ModelError(f"{path} is missing; {index.name} names it.")
        tensors = read(path)
        expected = {name for name, where in pairs.items() if where == file}
        if wrong := sorted(expected ^ set(tensors)):
            raise ModelError(f"{path} and {index.name} differ in: {name_list(wrong)}.")
        found |= tensors
    return found


def transposed(tensor: Stored) -> Stored:
    """Return a matrix that is stored as [O, I] as [I, O]."""

    def fill(target: torch.Tensor) -> None:
        target.copy_(tensor.read().T)

    return Stored(tensor.shape[::-1], tensor.dtype, fill)


def without_prefix(stored: Mapping[str, Stored]) -> tuple[dict[str, Stored], str]:
    """Remove a wrapper's prefix from the names; return the tensors and the prefix.

    Wrappers are DataParallel (`module.`), Lightning (`model.`) and torch.compile (`_orig_mod.`).
    """
    prefixes = {found[1] for name in stored if (found := _EMBEDDING.fullmatch(name))}
    prefix = prefixes.pop() if len(prefixes) == 1 else ""
    return {name.removeprefix(prefix): tensor for name, tensor in stored.items()}, prefix


def canonical(stored: Mapping[str, Stored], notes: list[str] | None = None) -> dict[str, Stored]:
    """Return the tensors under Hugging Face's current names, which begin with `transformer.`.

    Attention masks of older files and heads for other tasks are left out; `notes` gets a sentence
    for each head and for a prefix that was removed. Raises ModelError when a name is there both
    with and without its prefix.
    """
    found: dict[str, Stored] = {}
    heads: dict[str, list[str]] = {}
    bare, prefix = without_prefix(stored)
    for name, tensor in bare.items():
        first = name.partition(".")[0]
        if first in OTHER_HEADS:
            heads.setdefault(first, []).append(name)
            continue
        full = name if name == HEAD or name.startswith("transformer.") else f"transformer.{name}"
        if full in found:
            raise ModelError(f"The model holds '{full}' twice, with and without its prefix.")
        if not _MASK.fullmatch(full):
            found[full] = tensor
    said = [f"The names of the weights begin with '{prefix}', which is left out."] if prefix else []
    said += [
        f"Ignored: {name_list(names)}. It is {OTHER_HEADS[head]}, not needed to generate text."
        for head, names in heads.items()
    ]
    if notes is not None:
        notes += said
    return found


def shapes(config: GPT2Config) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a model, by name."""
    return {name: tuple(tensor.shape) for name, tensor in empty(config).state_dict().items()}


def empty(config: GPT2Config) -> GPT2:
    """Return a model on the meta device, without memory."""
    with torch.device("meta"):
        return GPT2(config)


def build(
    config: GPT2Config,
    stored: Mapping[str, Stored],
    where: str,
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    notes: list[str] | None = None,
) -> GPT2:
    """Build a model in evaluation mode from `stored`, whose names are Hugging Face's.

    `where` names the model in errors; `notes` gets a sentence for what is left out (see
    `canonical`). Without `dtype` the tensors keep the type they are stored in, float32 where they
    differ. Raises ModelError, listing the names, for missing and extra tensors and for other
    shapes or types than `config` asks for.
    """
    tensors, model = checked(config, stored, where, notes)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    target = dtype or _stored_type(tensors)
    state = {
        name: torch.empty(shape, dtype=target, device=device) for name, shape in wanted.items()
    }
    _fill(tensors, state)
    model.load_state_dict(state, assign=True)
    return model.requires_grad_(True).eval()


@torch.no_grad()
def _fill(tensors: Mapping[str, Stored], state: Mapping[str, torch.Tensor]) -> None:
    """Read tensors in several threads, each of which casts on one core."""
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(READERS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for _ in pool.map(lambda name: tensors[name].fill(state[name]), state):
                pass
    finally:
        torch.set_num_threads(threads)


def checked(
    config: GPT2Config, stored: Mapping[str, Stored], where: str, notes: list[str] | None = None
) -> tuple[dict[str, Stored], GPT2]:
    """Return the tensors of `config` under their canonical names, and a model on the meta device.

    Raises ModelError as `build` does.
    """
    tensors = canonical(stored, notes)
    _check_layers(config, tensors, where)
    model = empty(config)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    head = tensors.pop(HEAD, None) if HEAD not in wanted else None
    check(wanted, tensors, where)
    if head is not None:
        _check_tied(head, tensors, model, where)
    return tensors, model


def check(wanted: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Stored], where: str) -> None:
    """Raise ModelError unless `tensors` have the `wanted` names and shapes, and float types."""
    missing = sorted(set(wanted) - set(tensors))
    extra = sorted(set(tensors) - set(wanted))
    if missing or extra:
        parts = [f"lacks {name_list(missing)}"] if missing else []
        parts += [f"has the unknown {name_list(extra)}"] if extra else []
        raise ModelError(
            f"{where} {' and '.join(parts)}.",
            fix="Its config.json and its weights are not of the same model; download both again.",
        )
    shapes = [
        f"{name} {list(tensors[name].shape)} instead of {list(shape)}"
        for name, shape in wanted.items()
        if tensors[name].shape != shape
    ]
    if shapes:
        raise ModelError(
            f"{where} has tensors of another shape than its config says: {name_list(shapes)}."
        )
    types = [
        f"{name} ({tensors[name].dtype})" for name in wanted if tensors[name].dtype not in FLOATS
    ]
    if types:
        raise ModelError(
            f"{where} has tensors that are no floating-point numbers: {name_list(types)}."
        )


def _check_layers(config: GPT2Config, tensors: Mapping[str, Stored], where: str) -> None:
    found = {int(match[1]) for name in tensors if (match := _LAYER.match(name))}
    if found != set(range(config.n_layer)):
        numbers = sorted(set(range(config.n_layer)) ^ found)
        raise ModelError(
            f"{where} has tensors for {len(found)} layers, its config says {config.n_layer}; "
            f"they differ in: {name_list([f'transformer.h.{number}' for number in numbers])}."
        )


def _check_tied(head: Stored, tensors: Mapping[str, Stored], model: GPT2, where: str) -> None:
    """Raise ModelError unless a stored head of a tied model equals the embedding."""
    embedding = next(name for name, p in model.named_parameters() if p is model.head_weight_VC)
    other = tensors[embedding]
    if (
        head.shape != other.shape
        or head.dtype not in FLOATS
        or not torch.equal(head.read(torch.float32), other.read(torch.float32))
    ):
        raise ModelError(
            f"{where}: its config ties the head to the embedding, but {HEAD} differs from "
            f"{embedding}.",
            fix='Set "tie_word_embeddings": false in its config.json if both are meant.',
        )


def _stored_type(tensors: Mapping[str, Stored]) -> torch.dtype:
    types = {tensor.dtype for tensor in tensors.values()}
    name = types.pop() if len(types) == 1 else "F32"
    return torch.float32 if name == "F64" else TORCH_TYPES[name]
