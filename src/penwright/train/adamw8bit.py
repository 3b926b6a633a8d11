"""AdamW with eight-bit averages, one parameter at a time and in little memory.

Legend: n blocks, b numbers of a block.

Each average is kept as a byte a number and a scale for 256 numbers (block-wise, as in Dettmers et
al., "8-bit Optimizers via Block-wise Quantization", 2022; the code is another: the square root of
the first average and the fourth root of the second, which keeps what is small beside the largest).
Bytes and bfloat16 weights are rounded up or down by chance, so that what is below a step is right
on the average. The chance is a function of (seed, step, parameter), never of a generator's state.

The update is bounded: scaled down to a root mean square of one, as in Adafactor (Shazeer and
Stern, 2018) and StableAdamW (Wortsman et al., 2023). It steadies a step whose gradient is far
larger than those before, by which alone it can be clipped where weights are updated one by one.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 256
CHUNK = 1 << 17  # numbers at a time: what is made on the way stays in the cache
GPU_CHUNK = 1 << 24
_TABLE = 1 << 20
_SMALLEST = 1e-38


def mix(*numbers: int) -> int:
    """Mix several numbers into one of 64 bits that changes when any of them does."""
    mixed = 0
    for number in numbers:
        mixed = ((mixed ^ number) * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % (1 << 64)
    return mixed


class Dither:
    """Random numbers from one table, read from an offset that depends on (seed, step, ...)."""

    def __init__(self, seed: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(seed)
        words = torch.randint(0, 1 << 16, (_TABLE,), generator=generator, dtype=torch.int32)
        self.words = words.to(device)
        self.shares = self.words.float().div_(1 << 16)

    def _slice(self, table: Tensor, n: int, *place: int) -> Tensor:
        mixed = mix(*place)
        if n > _TABLE:
            return table.roll(mixed % _TABLE).repeat(-(-n // _TABLE))[:n]
        start = (mixed >> 20) % (_TABLE - n + 1)
        return table[start : start + n]

    def share(self, n: int, *place: int) -> Tensor:
        """`n` numbers from 0 to below 1."""
        return self._slice(self.shares, n, *place)

    def word(self, n: int, *place: int) -> Tensor:
        """`n` whole numbers from 0 to below 65536."""
        return self._slice(self.words, n, *place)


class AdamW8bit(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter, 2019) at two bytes of state a weight.

    `update` moves one parameter by a gradient; `step` does so for all that have one.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], *, betas: tuple[float, float], eps: float, seed: int
    ) -> None:
        super().__init__(groups, {"lr": 0.0, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self._group_of = {
            parameter: (index, group)
            for index, (parameter, group) in enumerate(
                (parameter, group) for group in self.param_groups for parameter in group["params"]
            )
        }
        self._seed = seed
        self._dither: Dither | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; `closure` is not called."""
        del closure
        for parameter in self._group_of:
            if parameter.grad is not None:
                self.update(parameter, parameter.grad)

    @torch.no_grad()
    def update(self, parameter: Tensor, grad: Tensor, share: Tensor | float = 1.0) -> None:
        """Move one parameter by `share` times its gradient, a chunk at a time."""
        number, group = self._group_of[parameter]
        if self._dither is None:
            self._dither = Dither(self._seed, parameter.device)
        state = self.state[parameter] or self._begin(parameter)
        state["step"] += 1
        weights, grads = parameter.view(-1), grad.reshape(-1)
        if parameter.is_cuda and (kernels := find_kernels()) is not None:
            noise = self._dither.words, self._dither.shares
            if not isinstance(share, Tensor):
                share = torch.full((), share, device=parameter.device)
            mixed = mix(int(state["step"]), number)
            kernels.update(
                *(weights, grads, share, state, group, noise, mixed), block=BLOCK, chunk=CHUNK
            )
            return
        chunk = CHUNK if parameter.device.type == "cpu" else GPU_CHUNK
        for start in range(0, weights.numel(), chunk):
            part = slice(start, start + chunk)
            blocks = slice(start // BLOCK, -(-min(start + chunk, weights.numel()) // BLOCK))
            place = (int(state["step"]), number, start)
            update = self._average(state, part, blocks, grads[part].float() * share, group, place)
            wide = weights[part].float()
            wide.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update)
            self._write(weights[part], wide, place)

    @torch.no_grad()
    def take_over(
        self, parameter: Tensor, step: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor
    ) -> None:
        """Begin with the averages of torch's AdamW."""
        state = self._begin(parameter)
        state["step"] = step.detach().float().cpu().clone()
        for start in range(0, parameter.numel(), CHUNK):
            part = slice(start, start + CHUNK)
            blocks = slice(start // BLOCK, -(-min(start + CHUNK, parameter.numel()) // BLOCK))
            for name, average, encode in (
                ("mean", exp_avg, encode_signed),
                ("square", exp_avg_sq, encode_square),
            ):
                flat = average.reshape(-1)[part]
                wide_nb = _in_blocks(flat.float())
                bytes_nb, scale_n = encode(wide_nb, torch.full_like(wide_nb, 0.5))
                state[name][part] = bytes_nb.view(-1)[: flat.numel()]
                state[f"{name}_scale"][blocks] = scale_n

    def _begin(self, parameter: Tensor) -> dict[str, Any]:
        size, device = parameter.numel(), parameter.device
        blocks = -(-size // BLOCK)
        self.state[parameter] = {
            "step": torch.zeros(()),
            "mean": torch.zeros(size, dtype=torch.int8, device=device),
            "mean_scale": torch.zeros(blocks, device=device),
            "square": torch.zeros(size, dtype=torch.uint8, device=device),
            "square_scale": torch.zeros(blocks, device=device),
        }
        return self.state[parameter]  # type: ignore[no-any-return]

    def _average(
        self,
        state: dict[str, Any],
        part: slice,
        blocks: slice,
        grad: Tensor,
        group: dict[str, Any],
        place: tuple[int, ...],
    ) -> Tensor:
        """Take a chunk's gradient into its averages; returns what to take off its weights."""
        assert self._dither is not None
        (beta1, beta2), step, size = group["betas"], place[0], grad.numel()
        grad_nb = _in_blocks(grad)
        noise_nb = self._dither.share(grad_nb.numel(), *place).view_as(grad_nb)
        mean_nb = decode_signed(_in_blocks(state["mean"][part]), state["mean_scale"][blocks])
        mean_nb.lerp_(grad_nb, 1 - beta1)
        bytes_nb, state["mean_scale"][blocks] = encode_signed(mean_nb, noise_nb)
        state["mean"][part] = bytes_nb.view(-1)[:size]
        square_nb = decode_square(_in_blocks(state["square"][part]), state["square_scale"][blocks])
        square_nb.mul_(beta2).addcmul_(grad_nb, grad_nb, value=1 - beta2)
        bytes_nb, state["square_scale"][blocks] = encode_square(square_nb, noise_nb)
        state["square"][part] = bytes_nb.view(-1)[:size]
        root_nb = square_nb.sqrt_().mul_((1 - beta2**step) ** -0.5).add_(group["eps"])
        update = mean_nb.mul_(1 / (1 - beta1**step)).div_(root_nb).view(-1)[:size]
        rms = update.norm() / size**0.5
        return update.mul_(group["lr"] / rms.clamp(min=1.0))

    def _write(self, weights: Tensor, wide: Tensor, place: tuple[int, ...]) -> None:
        if weights.dtype == torch.bfloat16:
            assert self._dither is not None
            wide = round_by_chance(wide, self._dither.word(wide.numel(), *place, 1))
        weights.copy_(wide)


@functools.cache
def find_kernels() -> ModuleType | None:
    """Return the module with the same update in Triton, or None if Triton is not installed."""
    if importlib.util.find_spec("triton") is None:
        return None
    return importlib.import_module("penwright.train.adamw8bit_triton")


def encode_signed(x_nb: Tensor, noise_nb: Tensor) -> tuple[Tensor, Tensor]:
    """Return bytes and block scales; signed squares times scale are `x_nb` in expectation."""
    size_nb = x_nb.abs()
    scale_n = size_nb.amax(1)
    size_nb.div_(scale_n.clamp(min=_SMALLEST)[:, None]).sqrt_().mul_(127.0).add_(noise_nb)
    return size_nb.floor_().clamp_(max=127.0).copysign_(x_nb).to(torch.int8), scale_n


def decode_signed(bytes_nb: Tensor, scale_n: Tensor) -> Tensor:
    """Decode what `encode_signed` returned."""
    y_nb = bytes_nb.float().div_(127.0)
    return y_nb.mul_(y_nb.abs()).mul_(scale_n[:, None])


def encode_square(x_nb: Tensor, noise_nb: Tensor) -> tuple[Tensor, Tensor]:
    """Return bytes and block scales; fourth powers times scale are `x_nb` >= 0 in expectation."""
    scale_n = x_nb.amax(1)
    y_nb = (x_nb / scale_n.clamp(min=_SMALLEST)[:, None]).sqrt_().sqrt_()
    return y_nb.mul_(255.0).add_(noise_nb).floor_().clamp_(max=255.0).to(torch.uint8), scale_n


def decode_square(bytes_nb: Tensor, scale_n: Tensor) -> Tensor:
    """Decode what `encode_square` returned."""
    return bytes_nb.float().div_(255.0).square_().square_().mul_(scale_n[:, None])


def round_by_chance(wide: Tensor, words: Tensor) -> Tensor:
    """float32 to the bfloat16 below or above, the nearer one the likelier, in place; float32."""
    bits = wide.view(torch.int32)
    bits.add_(words).bitwise_and_(-65536)
    return wide


def _in_blocks(flat: Tensor) -> Tensor:
    """[n, b], the last block filled with zeros."""
    missing = -flat.numel() % BLOCK
    return (F.pad(flat, (0, missing)) if missing else flat).view(-1, BLOCK)
