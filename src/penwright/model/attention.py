"""Who attends to whom: functions that a model calls in each layer.

Legend: B batch, H heads, T time (queries), S time (keys), D head dimension; L tokens of a document.
"""

from __future__ import annotations

from typing import Protocol

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
    """Each token attends to itself and to all before it in its row."""
    return scaled_dot_product_attention(
        q_BHTD, k_BHTD, v_BHTD, dropout_p=dropout_p, is_causal=True, scale=scale
    )


def causal() -> Attend:
    """Each token attends to itself and to all before it in its row."""
    return attend_causal


def documents(documents_BT: Tensor, device: torch.device | str | None = None) -> Attend:
    """Each token attends to itself and to all before it in its document.

    A document is a run of equal numbers in a row of `documents_BT`; -1 is padding. The numbers
    are looked at once, on the host: give them on the CPU, and with them the `device` of the model.
    """
    device = documents_BT.device if device is None else torch.device(device)
    documents_BT = documents_BT.cpu()
    borders_BT = documents_BT[:, 1:] != documents_BT[:, :-1]
    # Padding behind a row's only document may see it: nobody looks at what padding computes.
    if not (borders_BT & (documents_BT[:, 1:] != PADDING)).any():
        return attend_causal
    if device.type == "cpu":
        return SplitDocuments(borders_BT)
    return MaskedDocuments(documents_BT.to(device, non_blocking=True))


class SplitDocuments:
    """One causal attention a document: work only where there is something to see."""

    def __init__(self, borders_BT: Tensor) -> None:
        ends_BT = torch.nn.functional.pad(borders_BT, (0, 1), value=True)
        ends_N = ends_BT.flatten().nonzero().flatten() + 1
        self.lengths: list[int] = ends_N.diff(prepend=ends_N.new_zeros(1)).tolist()

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
    """All documents at once under a mask, which suits a GPU; made once for all layers."""

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
