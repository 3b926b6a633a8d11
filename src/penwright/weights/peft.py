"""Read, merge and write LoRA adapters in PEFT's format.

Legend: I inputs of a matrix, O its outputs, R rank.

An adapter adds `scale * (B_OR @ A_RI)` to a matrix; GPT-2 keeps its matrices as [I, O], which PEFT
calls fan_in_fan_out. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021);
with `use_rslora` the scale is alpha / sqrt(R) (Kalajdzievski, 2023).
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from penwright.errors import ModelError
from penwright.files import read_json
from penwright.model.gpt2 import GPT2, Conv1D
from penwright.model.lora import TARGETS
from penwright.weights import huggingface, pytorch_file, safetensors_file, stored
from penwright.weights.stored import FLOATS, Stored
from penwright.wording import name_list

_KEY = re.compile(
    r"base_model\.model\.(.+?)\.(?:lora_(?P<linear>[AB])(?:\.default)?\.weight"
    r"|lora_embedding_(?P<embedding>[AB])(?:\.default)?)"
)
_WHOLE = re.compile(r"base_model\.model\.(.+?)(?:\.modules_to_save)?(?:\.default)?\.(weight|bias)")
_ROWS = re.compile(
    r"base_model\.model\.(.+?)(?:\.token_adapter)?\.trainable_tokens_delta(?:\.default)?"
)
_HEAD, _EMBEDDING = "lm_head.weight", "transformer.wte.weight"
_UNSUPPORTED = (
    ("use_dora", "DoRA"),
    ("megatron_config", "Megatron's layers"),
    ("layer_replication", "repeated layers"),
    ("alora_invocation_tokens", "activation by tokens"),
)


@dataclass(frozen=True)
class Pair:
    """The low-rank factors of one matrix's update, and its scale."""

    a_RI: Tensor
    b_OR: Tensor
    scale: float

    def delta_IO(self) -> Tensor:
        """Return the change of a matrix [I, O], in float32."""
        return (self.scale * (self.b_OR.float() @ self.a_RI.float())).T


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: a pair of factors for each module, such as `transformer.h.0.attn.c_attn`.

    `whole` holds tensors that replace the model's, `tokens` the trained rows of an embedding: the
    tensor's name, and the ids and values [n, C] of its rows. `settings` is PEFT's
    adapter_config.json.
    """

    pairs: Mapping[str, Pair]
    base_model: str
    settings: Mapping[str, Any]
    whole: Mapping[str, Stored] = field(default_factory=dict)
    tokens: Mapping[str, tuple[list[int], Stored]] = field(default_factory=dict)

    @property
    def rows(self) -> int | None:
        """The size of the vocabulary, if the adapter holds an embedding."""
        sizes = [self.whole[name].shape[0] for name in (_EMBEDDING, _HEAD) if name in self.whole]
        return sizes[0] if sizes else None

    def merge(self, model: GPT2) -> None:
        """Add the adapter into the model's weights, computed in float32; raises ModelError."""
        self.check(model)
        changes_tokens = any(model.get_submodule(name) is model.embed_tokens for name in self.pairs)
        if changes_tokens and not self.settings.get("ensure_weight_tying"):
            _untie(model)
        with torch.no_grad():
            for name, pair in self.pairs.items():
                weight = _weight(model.get_submodule(name))
                delta = pair.delta_IO().to(weight.device)
                weight.copy_(weight.float() + delta)
            self._replace(model)

    @property
    def factors(self) -> dict[str, tuple[Tensor, Tensor]] | None:
        """A and scale * B in float32 by the name of their matrix, to be used beside the model.

        None for an adapter that changes more than matrices of blocks, which can only be merged.
        """
        live = all(name.rpartition(".")[2] in TARGETS for name in self.pairs)
        if self.whole or self.tokens or not live:
            return None
        return {
            name: (pair.a_RI.float(), pair.scale * pair.b_OR.float())
            for name, pair in self.pairs.items()
        }

    def check(self, model: GPT2) -> None:
        """Raise ModelError, listing the names, unless every pair fits the model."""
        modules = dict(model.named_modules())
        unknown = [name for name in self.pairs if not _is_target(modules.get(name))]
        state = model.state_dict()
        unknown += [name for name in self.whole if name not in state and name != _HEAD]
        unknown += [name for name in self.tokens if name not in state]
        if unknown:
            raise ModelError(
                f"The adapter changes tensors that the model lacks: {name_list(unknown)}."
            )
        wrong = []
        for name, pair in self.pairs.items():
            shape = list(_weight(modules[name]).shape)
            found = [pair.a_RI.shape[1], pair.b_OR.shape[0]]
            if found != shape:
                wrong.append(f"{name} {found} instead of {shape}")
        for name, tensor in self.whole.items():
            shape = list(state[name if name in state else _EMBEDDING].shape)
            if list(tensor.shape) != shape:
                wrong.append(f"{name} {list(tensor.shape)} instead of {shape}")
        for name, (ids, rows) in self.tokens.items():
            size, width = state[name].shape
            if rows.shape != (len(ids), width) or not all(0 <= id_ < size for id_ in ids):
                wrong.append(f"{name} {list(rows.shape)} instead of {[len(ids), width]}")
        if wrong:
            raise ModelError(
                f"The adapter was made for a model of another shape: {name_list(wrong)}."
            )

    def _replace(self, model: GPT2) -> None:
        if _HEAD in self.whole or (_EMBEDDING in self.whole and not self._keeps_tie):
            _untie(model)
        state = model.state_dict()
        for name, tensor in self.whole.items():
            state[name].copy_(tensor.read(state[name].dtype))
        for name, (ids, rows) in self.tokens.items():
            state[name][ids] = rows.read(state[name].dtype)

    @property
    def _keeps_tie(self) -> bool:
        """Whether an embedding that replaces the model's replaces a tied head, too.

        PEFT trains a copy of a module in `modules_to_save`, so the head keeps the old weights; an
        embedding that it saved because it was resized is the model's own.
        """
        copied = self.settings.get("modules_to_save") or ()
        return bool(self.settings.get("ensure_weight_tying")) or "wte" not in copied


def _untie(model: GPT2) -> None:
    """Give the model a head of its own: PEFT adapts the tied embedding's input side alone."""
    if model.config.tie_word_embeddings:
        model.lm_head = nn.Module()
        model.lm_head.weight = nn.Parameter(model.embed_tokens.weight.detach().clone())
        model.config = dataclasses.replace(model.config, tie_word_embeddings=False)


def _is_target(module: nn.Module | None) -> bool:
    return isinstance(module, (Conv1D, nn.Embedding))


def _weight(module: nn.Module) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight


def read_adapter(folder: Path) -> Adapter:
    """Read the adapter in a folder; raises ModelError if it is damaged or more than LoRA."""
    path = folder / "adapter_config.json"
    settings = read_json(path, ModelError)
    _check_settings(path, settings)
    tensors = _read_tensors(folder)
    factors: dict[str, dict[str, Stored]] = {}
    whole: dict[str, Stored] = {}
    tokens: dict[str, tuple[list[int], Stored]] = {}
    unknown = []
    for key, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            raise ModelError(f"{folder}: {key} is no floating-point tensor ({tensor.dtype}).")
        if match := _KEY.fullmatch(key):
            side = match["linear"] or match["embedding"]
            factors.setdefault(_module_name(match[1]), {})[side] = tensor
        elif match := _ROWS.fullmatch(key):
            module = _module_name(match[1])
            tokens[f"{module}.weight"] = (_token_ids(settings, module), tensor)
        elif (match := _WHOLE.fullmatch(key)) and "lora_" not in key:
            name = f"{_module_name(match[1])}.{match[2]}"
            if settings.get("modules_to_save") or name in (_EMBEDDING, _HEAD):
                whole[name] = tensor
            else:
                unknown.append(key)
        else:
            unknown.append(key)
    if unknown:
        raise ModelError(f"{folder} has tensors that LoRA does not have: {name_list(unknown)}.")
    pairs = {name: _pair(folder, name, sides, settings) for name, sides in factors.items()}
    if not pairs and not whole and not tokens:
        raise ModelError(f"{folder} has no LoRA tensors.")
    base = str(settings.get("base_model_name_or_path") or "")
    return Adapter(pairs, base, settings, whole, tokens)


def _token_ids(settings: Mapping[str, Any], module: str) -> list[int]:
    """Return the ids in `trainable_token_indices`: one list, or a list for each module."""
    found = settings.get("trainable_token_indices")
    if isinstance(found, dict):
        found = next((ids for name, ids in found.items() if module.endswith(name)), None)
    if not isinstance(found, list) or not all(type(id_) is int for id_ in found):
        raise ModelError(f"The adapter trains rows of {module} but does not list their tokens.")
    return found


def _module_name(name: str) -> str:
    if name.startswith(("transformer.", "lm_head")):
        return name
    return f"transformer.{name}"


def _check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    kind = settings.get("peft_type")
    if kind != "LORA":
        _refuse(path, f"is of type {kind!r}")
    for key, feature in _UNSUPPORTED:
        if settings.get(key):
            _refuse(path, f"uses {feature}")
    if settings.get("bias", "none") != "none":
        _refuse(path, "trains biases")
    rank = settings.get("r")
    if type(rank) is not int or not 0 < rank <= 1 << 16:
        raise ModelError(f"{path}: r cannot be {str(rank)[:40]}.")
    if type(settings.get("lora_alpha", 8)) not in (int, float):
        raise ModelError(f"{path}: lora_alpha is no number.")
    for key in ("rank_pattern", "alpha_pattern"):
        if not isinstance(settings.get(key) or {}, dict):
            raise ModelError(f"{path}: {key} is no table.")


def _refuse(path: Path, why: str) -> NoReturn:
    raise ModelError(
        f"The adapter of {path} {why}, which Penwright does not read.",
        fix="Merge it with PEFT's merge_and_unload() and open the merged folder.",
    )


def _read_tensors(folder: Path) -> dict[str, Stored]:
    path = folder / "adapter_model.safetensors"
    if path.is_file():
        return stored.safetensors(path)
    path = folder / "adapter_model.bin"
    if path.is_file():
        return pytorch_file.pickled(path)
    raise ModelError(f"{folder} has an adapter_config.json but no adapter_model.safetensors.")


def _pair(
    folder: Path, name: str, sides: Mapping[str, Stored], settings: Mapping[str, Any]
) -> Pair:
    if set(sides) != {"A", "B"}:
        raise ModelError(f"{folder} has only one of the two LoRA tensors of {name}.")
    a, b = sides["A"], sides["B"]
    rank = _matching(settings.get("rank_pattern"), name, settings["r"])
    if len(a.shape) != 2 or len(b.shape) != 2 or not a.shape[0] == b.shape[1] == rank:
        raise ModelError(
            f"{folder}: the LoRA tensors of {name} have the shapes {list(a.shape)} and "
            f"{list(b.shape)}, which do not fit rank {rank}."
        )
    alpha = _matching(settings.get("alpha_pattern"), name, settings.get("lora_alpha", 8))
    scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    return Pair(a.read(), b.read(), float(scale))


def _matching(pattern: Mapping[str, Any] | None, name: str, otherwise: Any) -> Any:
    """Look `name` up in PEFT's patterns, which are ends of names or regular expressions."""
    for key, value in (pattern or {}).items():
        if name == key or name.endswith("." + key) or _fits(key, name):
            return value
    return otherwise


def _fits(key: str, name: str) -> bool:
    try:
        return re.fullmatch(rf"(.*\.)?({key})", name) is not None
    except re.error:
        return False


def save_adapter(folder: str | Path, adapter: Adapter, *, card: str = "") -> None:
    """Write adapter_config.json, adapter_model.safetensors and a card, as PEFT reads them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for name, pair in adapter.pairs.items():
        embedding = name.rpartition(".")[2] in ("wte", "wpe")
        a, b = (
            ("lora_embedding_A", "lora_embedding_B")
            if embedding
            else (
                "lora_A.weight",
                "lora_B.weight",
            )
        )
        tensors[f"base_model.model.{name}.{a}"] = pair.a_RI
        tensors[f"base_model.model.{name}.{b}"] = pair.b_OR
    for name, tensor in adapter.whole.items():
        tensors[f"base_model.model.{name}"] = tensor.read()
    for name, (_, rows) in adapter.tokens.items():
        module = name.removesuffix(".weight")
        tensors[f"base_model.model.{module}.token_adapter.trainable_tokens_delta"] = rows.read()
    entries = {
        name: huggingface.to_write(stored.of_tensor(t), t.dtype) for name, t in tensors.items()
    }
    safetensors_file.write(folder / "adapter_model.safetensors", entries)
    text = json.dumps(dict(adapter.settings), indent=2, ensure_ascii=False) + "\n"
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(card, encoding="utf-8")


def lora_settings(
    base_model: str, rank: int, alpha: float, targets: list[str], *, dropout: float = 0.0
) -> dict[str, Any]:
    """Return the adapter_config.json of a plain LoRA adapter for GPT-2."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": sorted(targets),
        "fan_in_fan_out": True,
        "bias": "none",
        "use_rslora": False,
        "inference_mode": True,
    }
