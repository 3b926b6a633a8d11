"""The update of adamw8bit.py as two kernels for a GPU, which keep nothing on the way.

The same formula, blocks, bytes and random numbers. An update is bounded by its root mean square
over a chunk: the first kernel measures that, the second computes all once more and writes. A
program works on a tile of some blocks.

Legend: n blocks of a tile, b numbers of a block.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCKS = 8  # of a tile


@triton.jit
def _take_in(
    grads, share, mean, mean_scale, square, square_scale, tile, size, new1, beta2, new2,
    block: tl.constexpr, blocks: tl.constexpr,
):  # fmt: skip
    """Return the offsets of a tile and its averages, updated by the gradient."""
    n = tile.to(tl.int64) * blocks + tl.arange(0, blocks)
    at_nb = n[:, None] * block + tl.arange(0, block)[None, :]
    inside_nb, there_n = at_nb < size, n * block < size
    grad_nb = tl.load(grads + at_nb, mask=inside_nb, other=0.0).to(tl.float32) * tl.load(share)
    mean_nb = tl.load(mean + at_nb, mask=inside_nb, other=0).to(tl.float32) / 127.0
    mean_nb *= tl.abs(mean_nb) * tl.load(mean_scale + n, mask=there_n, other=0.0)[:, None]
    mean_nb += new1 * (grad_nb - mean_nb)
    square_nb = tl.load(square + at_nb, mask=inside_nb, other=0).to(tl.float32) / 255.0
    square_nb *= square_nb
    square_nb *= square_nb * tl.load(square_scale + n, mask=there_n, other=0.0)[:, None]
    square_nb = square_nb * beta2 + new2 * grad_nb * grad_nb
    return n, there_n, at_nb, inside_nb, mean_nb, square_nb


@triton.jit
def _measure(
    sums, grads, share, mean, mean_scale, square, square_scale, size, new1, beta2, new2, grow, root,
    eps, block: tl.constexpr, blocks: tl.constexpr,
):  # fmt: skip
    """Compute the sum of squares of each tile's update."""
    tile = tl.program_id(0)
    _, _, _, _, mean_nb, square_nb = _take_in(
        grads, share, mean, mean_scale, square, square_scale, tile, size, new1, beta2, new2,
        block, blocks,
    )  # fmt: skip
    update_nb = mean_nb * grow / (tl.sqrt(square_nb) * root + eps)
    tl.store(sums + tile, tl.sum(tl.sum(update_nb * update_nb, 1), 0))


@triton.jit(do_not_specialize=["place"])
def _write(
    sums, grads, share, mean, mean_scale, square, square_scale, size, new1, beta2, new2, grow, root,
    eps, weights, words, shares, place, lr, decay, tiles,
    block: tl.constexpr, blocks: tl.constexpr, chunk: tl.constexpr, table: tl.constexpr,
):  # fmt: skip
    """Move the weights of a tile and put its averages back in bytes."""
    tile = tl.program_id(0)
    n, there_n, at_nb, inside_nb, mean_nb, square_nb = _take_in(
        grads, share, mean, mean_scale, square, square_scale, tile, size, new1, beta2, new2,
        block, blocks,
    )  # fmt: skip
    # The chunk that the tile is in, and where its random numbers begin in the table.
    a_chunk: tl.constexpr = chunk // (block * blocks)
    begin = (tile // a_chunk).to(tl.int64) * chunk
    length = tl.minimum(size - begin, chunk)
    filled = (length + block - 1) // block * block
    mixed = _mix(place.to(tl.uint64), begin.to(tl.uint64))
    share_at = ((mixed >> 20) % (table + 1 - filled).to(tl.uint64)).to(tl.int64)
    word_at = ((_mix(mixed, 1) >> 20) % (table + 1 - length).to(tl.uint64)).to(tl.int64)
    noise_nb = tl.load(shares + (share_at + at_nb - begin), mask=there_n[:, None], other=0.0)

    size_nb = tl.abs(mean_nb)
    scale_n = tl.max(size_nb, 1)
    byte_nb = tl.sqrt(size_nb / tl.where(scale_n > 0, scale_n, 1.0)[:, None]) * 127.0 + noise_nb
    byte_nb = tl.minimum(tl.floor(byte_nb), 127.0)
    byte_nb = tl.where(mean_nb < 0, -byte_nb, byte_nb)
    tl.store(mean + at_nb, byte_nb.to(tl.int8), mask=inside_nb)
    tl.store(mean_scale + n, scale_n, mask=there_n)

    scale_n = tl.max(square_nb, 1)
    byte_nb = tl.sqrt(tl.sqrt(square_nb / tl.where(scale_n > 0, scale_n, 1.0)[:, None]))
    byte_nb = tl.minimum(tl.floor(byte_nb * 255.0 + noise_nb), 255.0)
    tl.store(square + at_nb, byte_nb.to(tl.uint8), mask=inside_nb)
    tl.store(square_scale + n, scale_n, mask=there_n)

    tile_t = tile // a_chunk * a_chunk + tl.arange(0, a_chunk)
    total = tl.sum(tl.load(sums + tile_t, mask=tile_t < tiles, other=0.0), 0)
    rate = lr / tl.maximum(tl.sqrt(total / length.to(tl.float32)), 1.0)
    update_nb = mean_nb * grow / (tl.sqrt(square_nb) * root + eps) * rate
    wide_nb = tl.load(weights + at_nb, mask=inside_nb, other=0.0).to(tl.float32) * decay - update_nb
    if weights.dtype.element_ty == tl.bfloat16:
        word_nb = tl.load(words + (word_at + at_nb - begin), mask=inside_nb, other=0)
        bits_nb = (wide_nb.to(tl.int32, bitcast=True) + word_nb) & -65536
        wide_nb = bits_nb.to(tl.float32, bitcast=True)
    tl.store(weights + at_nb, wide_nb.to(weights.dtype.element_ty), mask=inside_nb)


@triton.jit
def _mix(mixed, number):
    """Do one step of `mix` in adamw8bit.py."""
    return (mixed ^ number) * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019


def update(
    weights: Tensor,
    grads: Tensor,
    share: Tensor,
    state: dict[str, Any],
    group: dict[str, Any],
    noise: tuple[Tensor, Tensor],
    place: int,
    *,
    block: int,
    chunk: int,
) -> None:
    """Move flat weights by `share` times their flat gradient, and the state along with them.

    `noise` are a table's words and shares; `place` is mixed of what comes before a chunk's place.
    """
    size, step, (beta1, beta2) = weights.numel(), int(state["step"]), group["betas"]
    tiles = triton.cdiv(size, block * _BLOCKS)
    sums = torch.empty(tiles, device=weights.device)
    both = (
        *(sums, grads, share, state["mean"], state["mean_scale"], state["square"]),
        *(state["square_scale"], size, 1 - beta1, beta2, 1 - beta2),
        *(1 / (1 - beta1**step), (1 - beta2**step) ** -0.5, group["eps"]),
    )
    lr = group["lr"]
    decay = 1 - lr * group["weight_decay"]
    _measure[(tiles,)](*both, block=block, blocks=_BLOCKS)
    _write[(tiles,)](
        *(*both, weights, *noise, place - (place >> 63 << 64), lr, decay, tiles),
        block=block,
        blocks=_BLOCKS,
        chunk=chunk,
        table=len(noise[0]),
    )
