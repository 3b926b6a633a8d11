"""lora: small factors beside frozen matrices (Hu et al., "LoRA", 2021)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from penwright.errors import UsageError
from penwright.model.lora import Int8Conv1D, add_low_rank, quantize
from penwright.train.methods.base import LoadModel, Method, block_matrices, narrow_matrices
from penwright.weights.peft import Adapter, Pair, lora_settings, read_adapter


class Lora(Method):
    """Trains factors beside the frozen model, whose matrices may be int8.

    A checkpoint holds the merged model, and the factors apart.
    """

    def hold(self) -> dict[str, nn.Parameter]:
        lora = self.plan.lora
        if lora.quantize:
            quantize(self.model)
        if self.plan.precision == "bf16":
            narrow_matrices(self.model)
        try:
            self.factors = add_low_rank(
                self.model,
                lora.lora_rank,
                lora.lora_alpha,
                dropout=lora.lora_dropout,
                targets=lora.lora_targets,
                seed=self.plan.seed,
            )
        except ValueError as error:
            raise UsageError(f"LoRA cannot be put there: {error}.") from None
        self._first = self._pairs()
        return {
            f"{name}.{side}": parameter
            for name, factors in self.factors.items()
            for side, parameter in factors.named_parameters()
        }

    def restore(self, load_model: LoadModel | None, folder: Path | None) -> None:
        """Take the factors of a checkpoint, or for None the first ones; the model is frozen."""
        pairs = read_adapter(folder / "adapter").pairs if folder and load_model else self._first
        with torch.no_grad():
            for name, pair in pairs.items():
                self.devices.fill(self.factors[name].lora_A, pair.a_RI)
                self.devices.fill(self.factors[name].lora_B, pair.b_OR)

    def tensors(self) -> dict[str, Tensor]:
        found = {name: self.devices.whole(p) for name, p in self.model.named_parameters()}
        for name, module in block_matrices(self.model).items():
            if isinstance(module, Int8Conv1D):
                found[f"{name}.weight"] = module.weight.detach()
        for name, factors in self.factors.items():
            weight = found[f"{name}.weight"]
            wide = weight.float() + factors.delta_IO().to(weight.device)
            found[f"{name}.weight"] = wide.to(weight.dtype)
        return found

    def adapter(self, base_model: str) -> Adapter | None:
        lora = self.plan.lora
        settings = lora_settings(
            base_model,
            lora.lora_rank,
            lora.lora_alpha,
            list(lora.lora_targets),
            dropout=lora.lora_dropout,
        )
        return Adapter(self._pairs(), base_model, settings)

    def _pairs(self) -> dict[str, Pair]:
        return {
            name: Pair(
                factors.lora_A.detach().to("cpu", copy=True),
                factors.lora_B.detach().to("cpu", copy=True),
                factors.scale,
            )
            for name, factors in self.factors.items()
        }
