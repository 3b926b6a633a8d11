"""Attention functions that a model calls in each layer: causal, and within documents.

Legend: B batch, H heads, T time (queries), S time (keys), D head dimension, C channels;
L tokens of a document; N tokens, or documents, of all rows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

PADDING = -1


class Attend(Protocol):
    """Mixes the values of layer `layer`; all tensors are [B, H, T, D]."""

    def __call__(
        self,
        layer: int,
        q_BHTD: Tensor,
        k_BHTD: Tensor,
        v_BHTD: Tensor,
        dropout_p: float,
        scale: float,
    ) -> Tensor: ...


def attend_causal(
    layer: int,  # noqa: ARG001
    q_BHTD: Tensor,
    k_BHTD: Tensor,
    v_BHTD: Tensor,
    dropout_p: float,
    scale: float,
) -> Tensor:
    """Let each token attend to itself and all tokens before it in its row."""
    return scaled_dot_product_attention(
        q_BHTD, k_BHTD, v_BHTD, dropout_p=dropout_p, is_causal=True, scale=scale
    )


def documents(documents_BT: Tensor, device: torch.device | str | None = None) -> Attend:
    """Return attention to the token itself and all tokens before it in its document.

    A document is a run of equal numbers in a row of `documents_BT`; -1 is padding. The numbers
    are read once, on the host: pass them on the CPU, with the `device` of the model.
    """
    device = documents_BT.device if device is None else torch.device(device)
    documents_BT = documents_BT.cpu()
    borders_BT = documents_BT[:, 1:] != documents_BT[:, :-1]
    # Padding may attend to its row's only document: its output is not used.
    if not (borders_BT & (documents_BT[:, 1:] != PADDING)).any():
        return attend_causal
    if device.type == "cpu":
        return SplitDocuments(documents_BT)
    if (flash := flash_attention(device)) is not None:
        return FlashDocuments(documents_BT, flash, device)
    return MaskedDocuments(bring(documents_BT, device))


def bring(tensor: Tensor, device: torch.device) -> Tensor:
    """Return `tensor` on `device`, copied without making the host wait.

    A GPU copies asynchronously only from pinned memory; the copy is queued behind earlier work.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def find_offsets(documents_BT: Tensor) -> Tensor:
    """Return the documents' offsets in the concatenated rows, and the end of the last, as int64."""
    borders_BT = documents_BT[:, 1:] != documents_BT[:, :-1]
    begins_BT = torch.nn.functional.pad(borders_BT, (1, 0), value=True)
    begins_N = begins_BT.flatten().nonzero().flatten()
    return torch.nn.functional.pad(begins_N, (0, 1), value=documents_BT.numel())


class SplitDocuments:
    """One causal attention call for each document, on a CPU."""

    def __init__(self, documents_BT: Tensor) -> None:
        self.offsets = find_offsets(documents_BT).int()
        self.lengths: list[int] = self.offsets.diff().tolist()

    def __call__(
        self,
        layer: int,
        q_BHTD: Tensor,
        k_BHTD: Tensor,
        v_BHTD: Tensor,
        dropout_p: float,
        scale: float,
    ) -> Tensor:
        q_1HLD, k_1HLD, v_1HLD = (self._split(x_BHTD) for x_BHTD in (q_BHTD, k_BHTD, v_BHTD))
        mixed = [
            attend_causal(layer, q, k, v, dropout_p, scale)
            for q, k, v in zip(q_1HLD, k_1HLD, v_1HLD, strict=True)
        ]
        line_NHD = torch.cat([mixed_1HLD[0].transpose(0, 1) for mixed_1HLD in mixed])
        batch, heads, length, width = q_BHTD.shape
        return line_NHD.view(batch, length, heads, width).transpose(1, 2)

    def _split(self, x_BHTD: Tensor) -> list[Tensor]:
        line_NHD = x_BHTD.transpose(1, 2).flatten(0, 1)
        return [x_LHD.transpose(0, 1)[None] for x_LHD in torch.split(line_NHD, self.lengths)]


class MaskedDocuments:
    """All documents at once under a boolean mask, made once for all layers."""

    def __init__(self, documents_BT: Tensor) -> None:
        same_BTS = documents_BT[:, :, None] == documents_BT[:, None, :]
        self.mask_B1TS = same_BTS.tril()[:, None]

    def __call__(
        self,
        layer: int,  # noqa: ARG002
        q_BHTD: Tensor,
        k_BHTD: Tensor,
        v_BHTD: Tensor,
        dropout_p: float,
        scale: float,
    ) -> Tensor:
        return scaled_dot_product_attention(
            q_BHTD, k_BHTD, v_BHTD, attn_mask=self.mask_B1TS, dropout_p=dropout_p, scale=scale
        )


Flash = Callable[..., Tensor]


def flash_attention(device: torch.device) -> Flash | None:
    """Return torch's variable-length flash attention, or None where it is not available.

    Needs half precision under autocast, and an NVIDIA GPU from Ampere on.
    """
    if device.type != "cuda" or torch.version.cuda is None:
        return None
    half = torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda").itemsize == 2
    if not half or torch.cuda.get_device_capability(device) < (8, 0):
        return None
    from torch.nn.attention import varlen

    known = inspect.signature(varlen.varlen_attn).parameters  # not in the oldest supported torch
    attend = cast(Flash, varlen.varlen_attn)
    return attend if {"scale", "window_size"} <= known.keys() else None


class FlashDocuments:
    """Variable-length flash attention over the concatenated documents, without a mask."""

    def __init__(self, documents_BT: Tensor, flash: Flash, device: torch.device) -> None:
        self.documents_BT = bring(documents_BT, device)
        self.offsets_N = bring(find_offsets(documents_BT).int(), device)
        self.flash = flash

    def __call__(
        self,
        layer: int,
        q_BHTD: Tensor,
        k_BHTD: Tensor,
        v_BHTD: Tensor,
        dropout_p: float,
        scale: float,
    ) -> Tensor:
        if dropout_p or q_BHTD.dtype.itemsize > 2:  # neither is supported
            masked = MaskedDocuments(self.documents_BT)
            return masked(layer, q_BHTD, k_BHTD, v_BHTD, dropout_p, scale)
        batch, _, length, _ = q_BHTD.shape
        q_NHD, k_NHD, v_NHD = (x.transpose(1, 2).flatten(0, 1) for x in (q_BHTD, k_BHTD, v_BHTD))
        mixed_NHD = self.flash(
            *(q_NHD, k_NHD, v_NHD, self.offsets_N, self.offsets_N, length, length),
            scale=scale,
            window_size=(-1, 0),  # all tokens before, none after
        )
        return mixed_NHD.view(batch, length, *mixed_NHD.shape[1:]).transpose(1, 2)
