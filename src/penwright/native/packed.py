"""Pack a model's weights for the native decoder: float32, bfloat16, int8 or int4.

V vocabulary, C channels. The layouts are in c/penwright.h. int8 has a scale for each output; int4
is a table of 16 values, with a bfloat16 scale for each 32 inputs of an output, chosen to minimise
the squared error.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Callable, Mapping
from copy import copy
from ctypes import POINTER, Structure, c_float, c_int32, c_void_p
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from penwright.errors import ModelError, OutOfRoomError
from penwright.model.config import GPT2Config
from penwright.model.gpt2 import GPT2
from penwright.native.build import Library, Pool, open_pool

if TYPE_CHECKING:
    from penwright.native.decoder import NativeDecoder

PANEL = GROUP = PAGE = 32
WEIGHTS = ("float32", "bf16", "int8", "int4")
"""The types of weights; their order is that of the enum in c/penwright.h."""
MATRICES = {
    "attn.c_attn": "qkv",
    "attn.c_proj": "proj",
    "mlp.c_fc": "fc",
    "mlp.c_proj": "out",
}
"""The matrices of a block, and their fields in `Layer`."""
_INT4_GROUP = GROUP * PANEL // 2 + 2 * PANEL


SMALLEST_INT4 = 2**19
"""Weights of a matrix below which four bits are slower than eight: it stays in the cache."""
_LARGE_PAGE = 2**21


class _Block:
    """Memory for all matrices of a model, on large pages where the system has them.

    A product reads its matrix faster from a few large pages than from many small ones. The memory
    is the system's, not the allocator's, which might keep it when the model is closed.
    """

    def __init__(self, n_bytes: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        try:
            room = mmap.mmap(-1, n_bytes + _LARGE_PAGE, flags=flags)
        except OSError as error:
            raise OutOfRoomError("There is no memory for the model's weights.") from error
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a system without them may refuse
                room.madvise(mmap.MADV_HUGEPAGE)
        whole = torch.frombuffer(room, dtype=torch.uint8)
        self._free = whole[-whole.data_ptr() % _LARGE_PAGE :]

    def take(self, n_bytes: int) -> Tensor:
        taken, self._free = self._free[:n_bytes], self._free[n_bytes:]
        return taken


class Matrix(Structure):
    _fields_ = [
        ("type", c_int32), ("outputs", c_int32), ("inputs", c_int32), ("padded", c_int32),
        ("data", c_void_p), ("scale", c_void_p), ("bias", c_void_p),
        ("down", c_void_p), ("up", c_void_p),
    ]  # fmt: skip


class Norm(Structure):
    _fields_ = [("weight", c_void_p), ("bias", c_void_p)]


class Layer(Structure):
    _fields_ = [
        ("norm1", Norm), ("norm2", Norm),
        ("qkv", Matrix), ("proj", Matrix), ("fc", Matrix), ("out", Matrix),
        ("scale", c_float),
    ]  # fmt: skip


class Model(Structure):
    _fields_ = [
        *[(name, c_int32) for name in (
            "layers", "heads", "width", "inner", "context", "norm_last", "tanh_gelu",
            "narrow_cache", "rank")],
        ("epsilon", c_float), ("last", Norm), ("embedding", Matrix), ("head", Matrix),
        ("positions", c_void_p), ("layer", POINTER(Layer)),
    ]  # fmt: skip


class PackedModel:
    """A model's weights in one type, in the layout of the native decoder.

    `read(name)` returns the tensor of a name in GPT2's `state_dict`, of any float type; one tensor
    is read and packed after the other, so none is kept beside its packed form. With int4, matrices
    of fewer than `smallest` weights are int8. Raises ModelError for weights that are not numbers.
    """

    def __init__(
        self,
        config: GPT2Config,
        read: Callable[[str], Tensor],
        library: Library,
        weights: str = "float32",
        threads: int | None = None,
        smallest: int = SMALLEST_INT4,
    ) -> None:
        self.config = config
        self._smallest = smallest
        self.library = library
        self.weights = weights
        self.threads = threads or torch.get_num_threads()
        self._read = read
        self._held: list[Tensor] = []
        self._factors: list[Matrix] = []
        shared = config.tie_word_embeddings and weights != "int4"
        self._block: _Block | None = _Block(self._count_bytes(1 if shared else 2))
        self.base: PackedModel | None = None
        """The model whose weights these are, with an adapter beside them."""
        self._layers = (Layer * config.n_layer)(*map(self._layer, range(config.n_layer)))
        first = config.first_gpt
        tokens, positions = ("tokens_embed", "positions_embed") if first else ("wte", "wpe")
        # Reading rows of the embedding takes no time worth saving, so int4 models have it in int8.
        kind = "int8" if weights == "int4" else weights
        embedding = self._matrix(f"transformer.{tokens}.weight", rows_of=kind)
        head = f"transformer.{tokens}.weight" if config.tie_word_embeddings else "lm_head.weight"
        self.struct = Model(
            config.n_layer, config.n_head, config.n_embd, config.inner, config.n_positions,
            first, config.tanh_gelu, self.cache_type == torch.bfloat16, 0,
            config.layer_norm_epsilon,
            Norm() if first else self._norm("transformer.ln_f"),
            embedding,
            embedding if shared else self._matrix(head, rows_of=weights),
            self._vector(f"transformer.{positions}.weight"),
            self._layers,
        )  # fmt: skip
        del self._read
        self._block = None

    @classmethod
    def of(cls, model: GPT2, library: Library, weights: str = "float32") -> PackedModel:
        """Pack the weights of a model in memory, which keeps its own."""
        state = model.state_dict()
        return cls(model.config, lambda name: state[name], library, weights)

    def beside(self, factors: Mapping[str, tuple[Tensor, Tensor]]) -> PackedModel:
        """Return a model with these weights, in the same memory, and an adapter's factors.

        They are A [R, I] and B [O, R] by the name of a block's matrix, such as
        `transformer.h.0.attn.c_attn`. Each product with it adds B (A x), in float32.
        """
        adapted = copy(self)
        adapted.base, adapted._held, adapted._factors = self, [*self._held], []
        adapted._layers = type(self._layers).from_buffer_copy(self._layers)
        adapted.struct = Model.from_buffer_copy(self.struct)
        adapted.struct.layer = adapted._layers
        for number, layer in enumerate(adapted._layers):
            for part, field in MATRICES.items():
                if pair := factors.get(f"transformer.h.{number}.{part}"):
                    packed = [adapted._pack(factor, "float32") for factor in pair]
                    adapted._factors += packed
                    matrix = getattr(layer, field)
                    matrix.down, matrix.up = map(ctypes.addressof, packed)
                    adapted.struct.rank = max(adapted.struct.rank, len(pair[0]))
        return adapted

    @property
    def pool(self) -> Pool:
        """Return the threads of this process."""
        return open_pool(self.library, self.threads, os.getpid())

    @property
    def device(self) -> torch.device:
        """Return the device of the logits."""
        return torch.device("cpu")

    def decoder(self) -> NativeDecoder:
        """Return a new decoder without rows."""
        from penwright.native.decoder import NativeDecoder

        return NativeDecoder(self)

    @property
    def cache_type(self) -> torch.dtype:
        """Return the type of the cached keys and values."""
        return torch.float32 if self.weights == "float32" else torch.bfloat16

    @property
    def page_numbers(self) -> int:
        """Return the size of a page of the cache: the keys and values of PAGE tokens."""
        wide = -(-self.config.head_dim // PANEL) * PANEL
        return self.config.n_layer * self.config.n_head * 2 * wide * PAGE

    def row_bytes(self, length: int) -> int:
        """Return the memory that a row of `length` tokens takes while it is written."""
        pages = -(-length // PAGE)
        return pages * self.page_numbers * self.cache_type.itemsize + 8 * self.config.vocab_size

    @property
    def n_bytes(self) -> int:
        """Return the memory that the weights take."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._held)

    def _count_bytes(self, heads: int) -> int:
        """Return the most memory that the matrices take, with this many of the vocabulary."""
        width, inner = self.config.n_embd, self.config.inner
        block = [(3 * width, width), (width, width), (inner, width), (width, inner)]
        shapes = block * self.config.n_layer + [(self.config.vocab_size, width)] * heads
        kinds = ("int8", "int4") if self.weights == "int4" else (self.weights,)
        return sum(max(_packed_bytes(*shape, kind) for kind in kinds) for shape in shapes)

    def _layer(self, number: int) -> Layer:
        name = f"transformer.h.{number}."
        return Layer(
            self._norm(f"{name}ln_1"),
            self._norm(f"{name}ln_2"),
            *(self._matrix(f"{name}{part}.weight", f"{name}{part}.bias") for part in MATRICES),
            self.config.attention_scale(number),
        )

    def _norm(self, name: str) -> Norm:
        return Norm(self._vector(f"{name}.weight"), self._vector(f"{name}.bias"))

    def _vector(self, name: str, padded: int = 0) -> int:
        vector = self._numbers(name).flatten()
        room = torch.zeros(max(padded, len(vector)))
        room[: len(vector)] = vector
        return self._hold(room)

    def _matrix(self, name: str, bias: str = "", rows_of: str = "") -> Matrix:
        """Pack a matrix [in, out], or one [out, in] in the type `rows_of`."""
        full, kind = self._numbers(name), rows_of or self.weights
        if kind == "int4" and full.numel() < self._smallest:
            kind = "int8"
        matrix = self._pack(full if rows_of else full.T, kind)
        if bias:
            matrix.bias = self._vector(bias, _whole(matrix.outputs))
        return matrix

    def _pack(self, full_OI: Tensor, kind: str) -> Matrix:
        outputs, inputs = full_OI.shape
        n_bytes = _packed_bytes(outputs, inputs, kind)
        room = self._block.take(n_bytes) if self._block else torch.empty(n_bytes, dtype=torch.uint8)
        matrix = Matrix(
            WEIGHTS.index(kind), outputs, inputs, _whole(inputs),
            self._hold(room),
            self._hold(torch.empty(_whole(outputs))) if kind == "int8" else None,
        )  # fmt: skip
        with self.pool.lock:
            self.library.pack(
                self.pool.address, ctypes.addressof(matrix), full_OI.data_ptr(), *full_OI.stride()
            )
        return matrix

    def _numbers(self, name: str) -> Tensor:
        tensor = self._read(name).detach().float()
        if not tensor.isfinite().all():
            raise ModelError(
                f"The model's {name} has values that are not numbers, so it cannot write.",
                fix="Use a checkpoint from before the training diverged.",
            )
        return tensor

    def _hold(self, tensor: Tensor) -> int:
        self._held.append(tensor)
        return tensor.data_ptr()


def _whole(n: int) -> int:
    """Return a number of inputs or outputs as whole groups or panels."""
    return -(-n // GROUP) * GROUP


def _packed_bytes(outputs: int, inputs: int, kind: str) -> int:
    """Return the memory that a matrix takes in a type of weights."""
    each = {
        "float32": 4 * _whole(inputs),
        "bf16": 2 * _whole(inputs),
        "int8": _whole(inputs),
        "int4": _whole(inputs) // GROUP * _INT4_GROUP // PANEL,
    }
    return _whole(outputs) * each[kind]
