"""One product of each type of weights, beside the same quantisation in torch."""

from __future__ import annotations

import ctypes

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from penwright.native.packed import GROUP, PANEL, Matrix, PackedModel
from tests.model.conftest import tiny
from tests.native.conftest import LIBRARIES, every_variant, needs_library, pack
from tests.native.test_decoder import random_model

pytestmark = needs_library

INT4 = torch.tensor(
    [-127, -100, -78, -61, -47, -33, -21, -9, 2, 13, 24, 36, 49, 64, 82, 105], dtype=torch.float64
)


def multiply(packed: PackedModel, matrix: Matrix, x_NC: Tensor) -> Tensor:
    padded_NC = torch.zeros(len(x_NC), matrix.padded)
    padded_NC[:, : x_NC.shape[1]] = x_NC
    y_NO = torch.empty(len(x_NC), matrix.outputs)
    packed.library.multiply(
        packed.pool.address, ctypes.addressof(matrix), padded_NC.data_ptr(), len(x_NC),
        y_NO.data_ptr(),
    )  # fmt: skip
    return y_NO


def packed_values(matrix: Matrix) -> Tensor:
    """Read the packed weights back, as float64 [out, in]."""
    outputs = -(-matrix.outputs // PANEL) * PANEL
    kind = ("float32", "bf16", "int8", "int4")[matrix.type]
    groups = matrix.padded // GROUP
    size = {"float32": 128, "bf16": 64, "int8": 32, "int4": 18}[kind]
    raw = (ctypes.c_uint8 * (outputs * groups * size)).from_address(matrix.data)
    data = torch.frombuffer(raw, dtype=torch.uint8).clone()
    if kind == "float32":
        values = data.view(torch.float32).view(-1, matrix.padded, PANEL).transpose(1, 2)
    elif kind == "bf16":
        values = data.view(torch.bfloat16).view(-1, matrix.padded // 2, PANEL, 2).transpose(1, 2)
    elif kind == "int8":
        values = data.view(-1, matrix.padded // 4, PANEL, 4).transpose(1, 2).double() - 128
        scales = torch.frombuffer(
            (ctypes.c_float * outputs).from_address(matrix.scale), dtype=torch.float32
        )
        values = values.reshape(outputs, -1) * scales.double()[:, None]
    else:
        parts = data.view(-1, groups, 18 * PANEL)
        bytes_ = parts[..., : 16 * PANEL].reshape(-1, groups, 4, PANEL, 4)
        both = INT4[torch.stack([bytes_ & 15, bytes_ >> 4], dim=4).long()]  # [..., 4, PANEL, 2, 4]
        scales = parts[..., 16 * PANEL :].reshape(-1, groups, PANEL, 2)
        scales = scales.contiguous().view(torch.bfloat16).double()[..., None, :, :, None]
        values = (both * scales[..., 0][..., None]).permute(0, 3, 1, 2, 4, 5)
    return values.double().reshape(outputs, matrix.padded)[: matrix.outputs, : matrix.inputs]


def quantise(x_NC: Tensor) -> Tensor:
    """Round the inputs to int8, with a scale for each group of 32."""
    groups = torch.nn.functional.pad(x_NC, (0, -x_NC.shape[1] % GROUP)).view(len(x_NC), -1, GROUP)
    scale = groups.abs().amax(-1, keepdim=True) / 127
    rounded = (groups * torch.where(scale > 0, 1 / scale, 0)).round() * scale
    return rounded.reshape(len(x_NC), -1)[:, : x_NC.shape[1]]


@every_variant
@pytest.mark.parametrize("weights", ["float32", "bf16", "int8", "int4"])
@pytest.mark.parametrize("rows", [1, 2, 7, 13, 100])
def test_a_product_is_that_of_the_packed_weights(variant, weights, rows):
    model = random_model(tiny(n_embd=72, n_inner=130, n_head=2))
    packed = pack(model, weights, variant)
    for matrix in (packed.struct.layer[1].fc, packed.struct.layer[1].out):
        x_NC = torch.randn(rows, matrix.inputs, generator=torch.Generator().manual_seed(rows))
        used_NC = quantise(x_NC) if weights.startswith("int") else x_NC
        bias = torch.frombuffer((ctypes.c_float * matrix.outputs).from_address(matrix.bias),
                                dtype=torch.float32)  # fmt: skip
        expected = used_NC.double() @ packed_values(matrix).T + bias
        torch.testing.assert_close(
            multiply(packed, matrix, x_NC).double(), expected, rtol=1e-4, atol=1e-3
        )


@pytest.mark.parametrize(("weights", "error"), [("float32", 0), ("bf16", 4e-3), ("int8", 1e-2)])
def test_packed_weights_are_near_the_model(weights, error):
    model = random_model(tiny(n_embd=72, n_head=2))
    packed = pack(model, weights)
    wanted = model.blocks[0].mlp.c_fc.weight.detach().T.double()
    found = packed_values(packed.struct.layer[0].fc)
    assert float((found - wanted).abs().max()) <= error * float(wanted.abs().max())


def test_int4_is_better_than_the_plain_scale():
    model = random_model(tiny(n_embd=96, n_head=2))
    packed = pack(model, "int4")
    wanted = model.blocks[0].mlp.c_fc.weight.detach().T.double()
    groups = wanted.reshape(-1, GROUP)
    peak = groups.gather(1, groups.abs().argmax(1, keepdim=True))
    plain = (groups / (peak / -8)).round().clamp(-8, 7) * (peak / -8)
    ours = packed_values(packed.struct.layer[0].fc).reshape(-1, GROUP)
    assert (ours - groups).square().sum() < 0.75 * (plain - groups).square().sum()


@given(st.sampled_from(["float32", "bf16", "int8", "int4"]), st.integers(0, 1000))
def test_variants_agree(weights, seed):
    model = random_model(tiny(n_embd=64, n_head=1), seed)
    x_NC = torch.randn(9, 64, generator=torch.Generator().manual_seed(seed))
    found = []
    for variant in LIBRARIES:
        packed = pack(model, weights, variant)
        found.append(multiply(packed, packed.struct.layer[0].qkv, x_NC))
    for other in found[1:]:
        # An input in the middle between two of 255 steps may be rounded to either.
        near = 1e-4 if weights in ("float32", "bf16") else 0.02
        torch.testing.assert_close(other, found[0], rtol=1e-4, atol=near)
