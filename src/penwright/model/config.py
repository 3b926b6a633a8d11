"""Define the shape of GPT-2 and of the first GPT, by the fields of Hugging Face's config.json."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from penwright.errors import ModelError

ModelType = Literal["gpt2", "openai-gpt"]

# Every name in use for an activation -> whether it is GELU's tanh form.
TANH_GELU = {"gelu_new": True, "gelu_pytorch_tanh": True, "gelu": False}
FIRST_GPT_TANH_GELU = ("gelu", "gelu_new")  # the first GPT's "gelu" is the tanh form

ALIASES = {
    "n_ctx": "n_positions",
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}
# Larger values mean a damaged config.json; building such a model would hang.
LIMITS = {
    "vocab_size": 1 << 24,
    "n_positions": 1 << 20,
    "n_embd": 1 << 16,
    "n_layer": 1 << 10,
    "n_head": 1 << 12,
    "n_inner": 1 << 20,
}
PROBABILITIES = ("embd_pdrop", "attn_pdrop", "resid_pdrop")
SWITCHES = (
    "scale_attn_weights",
    "scale_attn_by_inverse_layer_idx",
    "reorder_and_upcast_attn",
    "tie_word_embeddings",
)
# Fields added by GPT-2; the first GPT uses GPT-2's defaults for them.
FIRST_GPT_LACKS = (
    "n_inner",
    "scale_attn_weights",
    "scale_attn_by_inverse_layer_idx",
    "reorder_and_upcast_attn",
)
FIRST_GPT_DEFAULTS = {
    "vocab_size": 40478,
    "n_positions": 512,
    "bos_token_id": None,
    "eos_token_id": None,
}


@dataclass(frozen=True, kw_only=True)
class GPT2Config:
    """Shape and arithmetic of a model; the fields are config.json's.

    Raises ModelError, naming the field, for a value that no model can have.
    """

    model_type: ModelType = "gpt2"
    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    resid_pdrop: float = 0.1
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    reorder_and_upcast_attn: bool = False
    tie_word_embeddings: bool = True
    bos_token_id: int | None = 50256
    eos_token_id: int | None = 50256

    def __post_init__(self) -> None:
        _check(self)

    @property
    def first_gpt(self) -> bool:
        """Return whether this is the first GPT: norms after the sums, other names, no last norm."""
        return self.model_type == "openai-gpt"

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_head

    @property
    def inner(self) -> int:
        """Return the width of the feed-forward layer."""
        return 4 * self.n_embd if self.n_inner is None else self.n_inner

    @property
    def tanh_gelu(self) -> bool:
        return TANH_GELU[self.activation_function]

    def attention_scale(self, layer: int) -> float:
        """Return the factor on the attention scores of layer `layer` (from 0)."""
        scale = self.head_dim**-0.5 if self.scale_attn_weights else 1.0
        return scale / (layer + 1) if self.scale_attn_by_inverse_layer_idx else scale

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GPT2Config:
        """Build a config from the values of a config.json; other fields are ignored.

        Raises ModelError when the values are not those of a GPT-2 or a first GPT.
        """
        aliased = {ALIASES[name]: value for name, value in values.items() if name in ALIASES}
        found = aliased | {name: value for name, value in values.items() if name not in ALIASES}
        model_type = found.setdefault("model_type", "gpt2")
        if model_type not in ("gpt2", "openai-gpt"):
            raise ModelError(
                f"This model is of type {model_type!r}.",
                fix="Penwright opens GPT-2 and the first GPT: types 'gpt2' and 'openai-gpt'.",
            )
        if found.get("add_cross_attention"):
            raise ModelError("This model has cross-attention, which GPT-2 for text does not have.")
        if model_type == "openai-gpt":
            found = FIRST_GPT_DEFAULTS | found
            name = found.pop("afn", "gelu")
            found["activation_function"] = "gelu_new" if name in FIRST_GPT_TANH_GELU else name
        # A list names several end tokens; the tokenizer decides which one ends a document.
        if isinstance(found.get("eos_token_id"), list):
            found["eos_token_id"] = next(iter(found["eos_token_id"]), None)
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in found.items() if name in known})

    def to_dict(self) -> dict[str, Any]:
        """Return the values of a config.json, readable by transformers and by `from_dict`."""
        values = dataclasses.asdict(self)
        if self.first_gpt:
            for name in (*FIRST_GPT_LACKS, "activation_function"):
                del values[name]
            return values | {"afn": "gelu", "architectures": ["OpenAIGPTLMHeadModel"]}
        return values | {"n_ctx": self.n_positions, "architectures": ["GPT2LMHeadModel"]}


def _check(config: GPT2Config) -> None:
    values = dataclasses.asdict(config)
    for name, most in LIMITS.items():
        value = values[name]
        if value is None and name == "n_inner":
            continue
        _require(type(value) is int and 0 < value <= most, name, value, f"from 1 to {most}")
    for name in PROBABILITIES:
        _require(
            _is_number(values[name]) and 0 <= values[name] < 1, name, values[name], "in [0, 1)"
        )
    for name in ("layer_norm_epsilon", "initializer_range"):
        _require(_is_number(values[name]) and values[name] > 0, name, values[name], "above 0")
    for name in SWITCHES:
        _require(type(values[name]) is bool, name, values[name], "true or false")
    for name in ("bos_token_id", "eos_token_id"):
        value = values[name]
        _require(value is None or type(value) is int, name, value, "a token id or null")
    _require(
        config.activation_function in tuple(TANH_GELU),
        "activation_function",
        config.activation_function,
        "one of " + ", ".join(TANH_GELU),
    )
    if config.n_embd % config.n_head:
        raise ModelError(
            f"n_embd {config.n_embd} cannot be divided among n_head {config.n_head} heads."
        )
    if config.first_gpt:
        for name in FIRST_GPT_LACKS:
            usual = getattr(GPT2Config, name)
            _require(values[name] == usual, name, values[name], f"{usual} in the first GPT")
        name = config.activation_function
        _require(config.tanh_gelu, "activation_function", name, "tanh GELU in the first GPT")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _require(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise ModelError(
            f"The model's configuration has {name} = {value!r}.", fix=f"It must be {wanted}."
        )


SIZES: dict[str, GPT2Config] = {
    "tiny": GPT2Config(n_layer=6, n_head=4, n_embd=256, n_positions=512),
    "small": GPT2Config(n_layer=8, n_head=8, n_embd=512),
    "124M": GPT2Config(),
    "355M": GPT2Config(n_layer=24, n_head=16, n_embd=1024),
    "774M": GPT2Config(n_layer=36, n_head=20, n_embd=1280),
    "1558M": GPT2Config(n_layer=48, n_head=25, n_embd=1600),
}
"""OpenAI's four sizes, and two to train from nothing with a vocabulary of their own."""
