"""Tensors on their way to where the model is."""

from __future__ import annotations

import torch
from torch import Tensor


def bring(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device, for which the host does not wait.

    A GPU reads by itself only out of pinned memory; the copy waits its turn among what the GPU has
    been given before.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
