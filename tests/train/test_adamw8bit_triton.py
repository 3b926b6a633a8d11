"""The kernels against the update in torch, with the same random numbers.

They run where there is a GPU, or in Triton's interpreter where Triton is installed.
"""

from __future__ import annotations

import os

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton", reason="Triton is not installed")

from penwright.train import adamw8bit_triton
from penwright.train.adamw8bit import BLOCK, CHUNK, AdamW8bit, Dither, mix

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1, 256, 700, 12 * 256 * 8 + 3, CHUNK + 5000])
@pytest.mark.parametrize("scale", [1e-6, 1.0])
def test_some_steps_are_those_of_torch(dtype, size, scale):
    """From the second step on with a gradient so large that the update is bounded."""
    generator = torch.Generator().manual_seed(size)
    ours = torch.nn.Parameter(torch.randn(size, generator=generator).to(dtype))
    theirs = ours.detach().clone().to(DEVICE)
    groups = [{"params": [torch.nn.Parameter(torch.zeros(3)), ours], "weight_decay": 0.1}]
    optimizer = AdamW8bit(groups, betas=(0.9, 0.95), eps=1e-8, seed=3)
    optimizer.param_groups[0]["lr"] = 0.01
    dither = Dither(3, DEVICE)
    state = None
    for step in range(1, 4):
        grad = torch.randn(size, generator=generator).mul(scale * 30 ** (step - 1)).to(dtype)
        optimizer.update(ours, grad, 0.7)
        if state is None:
            state = {
                key: torch.zeros_like(value).to(DEVICE if key != "step" else "cpu")
                for key, value in optimizer.state[ours].items()
            }
        state["step"] += 1
        adamw8bit_triton.update(
            theirs,
            grad.to(DEVICE),
            torch.tensor(0.7, device=DEVICE),
            state,
            optimizer.param_groups[0],
            (dither.words, dither.shares),
            mix(step, 1),
            block=BLOCK,
            chunk=CHUNK,
        )
        for name, expected in optimizer.state[ours].items():
            found = state[name].cpu()
            if found.dtype.is_floating_point:
                torch.testing.assert_close(found, expected, atol=0, rtol=1e-4)
            else:  # a last bit can move a byte by one, seldom
                away = (found.int() - expected.int()).abs()
                assert away.max() <= 1
                assert (away > 0).sum() <= 1 + size / 500
        # Seldom the last bit decides to which bfloat16 a weight is rounded.
        away = (theirs.cpu().float() - ours.detach().float()).abs()
        step_size = ours.detach().float().abs() * 2**-7 if dtype is torch.bfloat16 else 1e-5
        assert (away <= step_size + 1e-7).all()
        assert (away > 1e-5).sum() <= 1 + size / 200
        theirs.copy_(ours.detach())
        held = optimizer.state[ours].items()
        state = {name: value.clone().to(state[name].device) for name, value in held}
