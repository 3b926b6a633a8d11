"""torch.compile for the blocks: one block is compiled, and all of them share the code.

All blocks have one shape, and what is compiled takes a block's weights as inputs, so a model of 48
layers costs no more time than one of a single layer. A shape that comes twice is compiled for that
shape, the first other one for any (torch's own rule): rows that are always alike get the fastest
code, and a last batch that is smaller does not begin anew each time.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from penwright.config import CompileName
from penwright.model import GPT2
from penwright.model.attention import Attend, FlashDocuments, SplitDocuments
from penwright.model.gpt2 import Block
from penwright.train.calibrate import card_flops

_WORTH_SECONDS = 120.0  # of training: compiling takes about half a minute and saves about a quarter
_REACHED = 0.4  # of what a card's maker says
_FASTEST = 1e15  # operations a second of a card that is not known

Forward = Callable[[Block, Tensor, Attend], Tensor]


def choose_compile(wanted: CompileName, device: torch.device, operations: float) -> bool:
    """Whether to compile: as asked, or where a GPU has so many operations ahead that it pays."""
    if wanted != "auto":
        return wanted == "on"
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return False
    if torch.version.cuda and torch.cuda.get_device_capability(device) < (7, 0):
        return False  # Triton does not know it
    peak = card_flops(torch.cuda.get_device_name(device)) or _FASTEST
    return operations / (_REACHED * peak) > _WORTH_SECONDS


def compile_blocks(model: GPT2) -> None:
    """Make every block run compiled while it is trained, and uncompiled otherwise."""
    compiled: Forward = torch.compile(Block.forward)
    for block in model.modules():
        if isinstance(block, Block):
            block.__dict__["forward"] = functools.partial(_forward, block, compiled)


def compile_failure(error: BaseException) -> str:
    """Return a compiler's error in one line; an empty string for an error of another kind."""
    known = sys.modules.get("torch._dynamo.exc")  # there as soon as anything was compiled
    if known is None or not isinstance(error, known.TorchDynamoException):
        return ""
    error = getattr(error, "inner_exception", error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".:")[:200] if lines else type(error).__name__


def _forward(block: Block, compiled: Forward, x_BTC: Tensor, attend: Attend) -> Tensor:
    each = isinstance(attend, SplitDocuments)  # would be compiled anew for each batch's documents
    if each or not (block.training and torch.is_grad_enabled()):
        return Block.forward(block, x_BTC, attend)
    if isinstance(attend, FlashDocuments):  # each batch has another number of documents
        torch._dynamo.maybe_mark_dynamic(attend.offsets_N, 0)
    return compiled(block, x_BTC, attend)
