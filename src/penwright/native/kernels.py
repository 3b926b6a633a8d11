"""The kernels of a training step in C as functions of tensors; see c/train.c.

What a product reads and writes is float32 or bfloat16, all else float32; sums do not depend on the
number of threads. Products leave out their bias: the kernel that reads one adds it.

Legend: N tokens, C channels, H heads, D head dimension, V vocabulary.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Sequence
from ctypes import Structure, c_float, c_int32, c_int64, c_void_p
from typing import NamedTuple

import torch
from torch import Tensor

from penwright.config import KernelsName
from penwright.native.build import Library, load, open_pool

_CHUNK = 1 << 15  # weights of an item of an update, as in c/updates.h


class Kernels:
    """The kernels for one instruction set, on the threads of the process's pool.

    They raise MemoryError where there is no room for what they need besides their tensors.
    """

    def __init__(
        self, library: Library, threads: int | None = None, products: KernelsName = "native"
    ) -> None:
        threads = threads or torch.get_num_threads()
        self._products = products
        self._run = library.training
        self._pool = open_pool(library, threads, os.getpid())
        if parallel := getattr(ctypes.CDLL(None), "GOMP_parallel", None):
            library.short_turns(threads, ctypes.cast(parallel, c_void_p))

    def norm(
        self, x_NC: Tensor, gain_C: Tensor, shift_C: Tensor, epsilon: float, y_NC: Tensor
    ) -> Tensor:
        """Write LayerNorm(x) to `y_NC`; return each token's mean and 1 / deviation, [N, 2]."""
        return self.add_norm(x_NC, None, None, None, gain_C, shift_C, epsilon, y_NC)

    def add(self, x_NC: Tensor, added_NC: Tensor, bias_C: Tensor, total_NC: Tensor) -> None:
        """Write x + added + bias to `total_NC`."""
        rows, width = x_NC.shape
        self._call(
            "norm", rows, width, _narrow(added_NC), x_NC, added_NC, bias_C, total_NC, None, None,
            0.0, None, None,
        )  # fmt: skip

    def add_norm(
        self,
        x_NC: Tensor,
        added_NC: Tensor | None,
        bias_C: Tensor | None,
        total_NC: Tensor | None,
        gain_C: Tensor,
        shift_C: Tensor,
        epsilon: float,
        y_NC: Tensor,
    ) -> Tensor:
        """Write x + added + bias to `total_NC`, and its norm to `y_NC`; return as `norm` does."""
        rows, width = x_NC.shape
        stats_N2 = torch.empty(rows, 2)
        self._call(
            "norm", rows, width, _narrow(y_NC), x_NC, added_NC, bias_C, total_NC, gain_C, shift_C,
            epsilon, y_NC, stats_N2,
        )  # fmt: skip
        return stats_N2

    def norm_backward(
        self,
        y_grad_NC: Tensor,
        x_NC: Tensor,
        gain_C: Tensor,
        shift_C: Tensor,
        stats_N2: Tensor,
        grad_NC: Tensor,
        x_grad_NC: Tensor,
        *,
        copy_NC: Tensor | None,
        y_NC: Tensor | None,
    ) -> Tensor:
        """Write `grad_NC` plus what flows through the norm to `x_grad_NC`.

        Writes it to `copy_NC` in bfloat16 too, and the norm's result to `y_NC`. Returns the
        gradients of gain and shift, and the sum of `x_grad_NC` over tokens: [3, C].
        """
        rows, width = x_NC.shape
        sums_3C = torch.empty(3, width)
        self._call(
            "norm_backward", rows, width, _narrow(y_grad_NC), y_grad_NC, x_NC, gain_C, shift_C,
            stats_N2, grad_NC, x_grad_NC, copy_NC, y_NC, sums_3C,
        )  # fmt: skip
        return sums_3C

    def gelu(self, x_NC: Tensor, bias_C: Tensor, y_NC: Tensor, *, tanh: bool) -> None:
        """Write GELU(x + bias) to `y_NC`."""
        rows, width = x_NC.shape
        self._call("gelu", rows, width, _narrow(x_NC), tanh, x_NC, bias_C, y_NC)

    def gelu_backward(
        self, x_NC: Tensor, bias_C: Tensor, y_NC: Tensor, grad_NC: Tensor, *, tanh: bool
    ) -> Tensor:
        """Turn the gradient of `gelu`'s result into that of x, in place; write the result again.

        Returns the gradient of the bias.
        """
        rows, width = x_NC.shape
        bias_grad_C = torch.empty(width)
        self._call(
            "gelu_backward", rows, width, _narrow(x_NC), tanh, x_NC, bias_C, y_NC, grad_NC,
            bias_grad_C,
        )  # fmt: skip
        return bias_grad_C

    def sum_rows(self, grad_NC: Tensor, copy_NC: Tensor | None) -> Tensor:
        """Return the sum over rows, and write the rows to `copy_NC` in bfloat16."""
        rows, width = grad_NC.shape
        sums_C = torch.empty(width)
        self._call("sum_rows", rows, width, grad_NC, copy_NC, sums_C)
        return sums_C

    def attend(
        self, offsets: Tensor, heads: int, scale: float, qkv_N3C: Tensor, bias_3C: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what causal attention within documents mixes, [N, C], and logs of sums, [N, H].

        `offsets` (int32) are those of the documents, and the end of the last.
        """
        rows, width = len(qkv_N3C), qkv_N3C.shape[1] // 3
        mixed_NC, sums_NH = qkv_N3C.new_empty(rows, width), torch.empty(rows, heads)
        self._call(
            "attend", len(offsets) - 1, heads, width // heads, _narrow(qkv_N3C), scale, offsets,
            qkv_N3C, bias_3C, mixed_NC, sums_NH,
        )  # fmt: skip
        return mixed_NC, sums_NH

    def attend_backward(
        self,
        offsets: Tensor,
        heads: int,
        scale: float,
        qkv_N3C: Tensor,
        bias_3C: Tensor,
        mixed_NC: Tensor,
        sums_NH: Tensor,
        grad_NC: Tensor,
        qkv_grad_N3C: Tensor,
    ) -> Tensor:
        """Write the gradient of queries, keys and values; return the gradient of their bias."""
        bias_grad_3C = torch.empty_like(bias_3C)
        self._call(
            "attend_backward", len(offsets) - 1, heads, mixed_NC.shape[1] // heads,
            _narrow(qkv_N3C), scale, offsets, qkv_N3C, bias_3C, mixed_NC, sums_NH, grad_NC,
            qkv_grad_N3C, bias_grad_3C,
        )  # fmt: skip
        return bias_grad_3C

    def loss_grads(self, logits_NV: Tensor, targets_N: Tensor) -> Tensor:
        """Turn logits into p - onehot(target) in place; return log p(target).

        Both are 0 where the target is negative.
        """
        rows, width = logits_NV.shape
        logp_N = torch.empty(rows)
        self._call("loss", rows, width, _narrow(logits_NV), logits_NV, targets_N, logp_N)
        return logp_N

    def accumulate(self, sum_NC: Tensor, x_NC: Tensor) -> None:
        """sum += x, with the sum in float32."""
        self._call("accumulate", x_NC.numel(), _narrow(x_NC), sum_NC, x_NC)

    def narrow(self, x_NC: Tensor, less_C: Tensor) -> Tensor:
        """Return x - less in bfloat16."""
        y_NC = torch.empty(x_NC.shape, dtype=torch.bfloat16)
        self._call("narrow", *x_NC.shape, x_NC, less_C, y_NC)
        return y_NC

    def sum_squares(self, gradients: Iterable[Tensor]) -> float:
        """Return the sum of the squares of all tensors, float32 or bfloat16."""
        weights = Weights([Trained(None, gradient) for gradient in gradients])
        with self._pool.lock:
            total: float = self._run["squares"](
                self._pool.address, ctypes.addressof(weights.array), len(weights.array)
            )
        if total < 0 and total == _OUT_OF_MEMORY:
            _check(_OUT_OF_MEMORY)
        return total

    def adamw(
        self, weights: Weights, share: float, betas: tuple[float, float], epsilon: float
    ) -> None:
        """Take a step of AdamW with the gradients times `share`, and write the copies."""
        with self._pool.lock:
            self._run["update"](
                *(self._pool.address, ctypes.addressof(weights.array), len(weights.array)),
                *(share, *betas, epsilon),
            )

    def multiply(self, a_NK: Tensor, b_KM: Tensor, out: Tensor | None = None) -> Tensor:
        """Return a @ b, in `out` where the product can write into a tensor.

        In float32 torch's own product is MKL's, which uses AVX2 at most on processors that are not
        Intel's; oneDNN's uses what the processor has, but always allocates.
        """
        if self._products == "native" or a_NK.dtype != torch.float32:
            return torch.mm(a_NK, b_KM, out=out)
        if a_NK.stride(0) == 1 and a_NK.stride(1) > 1:  # it would be copied, slowly
            a_KN, a_NK = a_NK.T, torch.empty(a_NK.shape)
            rows, width = a_KN.shape
            with self._pool.lock:
                self._run["transpose"](
                    *(self._pool.address, rows, width, a_KN.stride(0)),
                    *(a_KN.data_ptr(), a_NK.data_ptr()),
                )
        product: Tensor = torch.ops.mkldnn._linear_pointwise(a_NK, b_KM.T, None, "none", [], "")
        return product

    def _call(self, name: str, *arguments: Tensor | float | None) -> None:
        values = [_address(a) if isinstance(a, Tensor) else a for a in arguments]
        with self._pool.lock:
            code = self._run[name](self._pool.address, *values)
        _check(code)


class Trained(NamedTuple):
    """A weight with what AdamW reads and writes; `copy` is the weight in bfloat16."""

    weight: Tensor | None
    gradient: Tensor
    mean: Tensor | None = None
    square: Tensor | None = None
    copy: Tensor | None = None
    decay: float = 1.0
    """1 - rate * weight decay."""
    rate: float = 0.0
    """rate / (1 - beta1^t)."""
    root: float = 1.0
    """sqrt(1 - beta2^t)."""


class _Tensor(Structure):
    _fields_ = [
        ("weight", c_void_p), ("gradient", c_void_p), ("mean", c_void_p), ("square", c_void_p),
        ("copy", c_void_p), ("n", c_int64), ("decay", c_float), ("narrow", c_int32),
        ("first", c_int32), ("rate", c_float), ("root", c_float),
    ]  # fmt: skip


class Weights:
    """The array of tensors of an update, which are kept while C reads them."""

    def __init__(self, trained: Sequence[Trained]) -> None:
        self._held = trained
        self.array = (_Tensor * len(trained))()
        first = 0
        for entry, t in zip(self.array, trained, strict=True):
            tensors = (t.weight, t.gradient, t.mean, t.square, t.copy)
            entry.weight, entry.gradient, entry.mean, entry.square, entry.copy = (
                None if tensor is None else _address(tensor) for tensor in tensors
            )
            entry.n, entry.narrow, entry.first = t.gradient.numel(), _narrow(t.gradient), first
            entry.decay, entry.rate, entry.root = t.decay, t.rate, t.root
            first += -(-t.gradient.numel() // _CHUNK)


def open_kernels(name: KernelsName) -> Kernels | None:
    """Return the kernels of a plan; None where torch computes everything."""
    library = load() if name != "torch" else None
    return Kernels(library, products=name) if library else None


_OUT_OF_MEMORY = -3


def _check(code: int | None) -> None:
    if code == _OUT_OF_MEMORY:
        raise MemoryError("out of memory in a training kernel")


def _narrow(tensor: Tensor) -> int:
    if tensor.dtype not in (torch.float32, torch.bfloat16):
        raise TypeError(f"kernels take float32 and bfloat16, not {tensor.dtype}")
    return int(tensor.dtype == torch.bfloat16)


def _address(tensor: Tensor) -> int:
    if not tensor.is_contiguous():
        raise ValueError("kernels take contiguous tensors")
    return tensor.data_ptr()
