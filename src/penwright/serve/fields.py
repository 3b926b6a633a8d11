"""Types of request fields: bounded numbers, and the odd values that clients send."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MOST_STOPS = 64
LONGEST_STOP = 1000
BANNED = -1000.0
"""The bias of a token that a client rules out with `false`."""

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Temperature = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Penalty = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=-1, lt=2**63)]


def _as_texts(value: Any) -> Any:
    texts = [value] if isinstance(value, str) else value
    return [text for text in texts if text != ""] if isinstance(texts, list) else texts


def _not_negative(value: Any) -> Any:
    return 0 if value == -1 else value


def _as_count(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


Stops = Annotated[
    tuple[Annotated[str, Field(max_length=LONGEST_STOP)], ...],
    Field(max_length=MOST_STOPS),
    BeforeValidator(_as_texts),
]
"""A text or a list of texts; empty ones are dropped."""
TopK = Annotated[Count, BeforeValidator(_not_negative)]
"""0 and -1: all tokens."""
Logprobs = Annotated[int, Field(ge=0, le=100), BeforeValidator(_as_count)]
"""A number, or true for 1."""


def _as_biases(value: Any) -> Any:
    """Return biases as SamplingConfig spells them: of a mapping, or of llama.cpp's pairs.

    A key that is no token id is a text, as in llama.cpp.
    """
    pairs = value.items() if isinstance(value, dict) else value
    if not isinstance(pairs, (list, tuple)) and not isinstance(value, dict):
        return value
    try:
        return [
            f"{_spell(key)}={BANNED if bias is False else max(BANNED, min(-BANNED, float(bias))):g}"
            for key, bias in pairs
        ]
    except (TypeError, ValueError):
        raise ValueError("must give a number for each token id or text") from None


def _spell(key: Any) -> str:
    if isinstance(key, str) and not key.strip().isdecimal():
        return key
    return f"id:{int(key)}"


Biases = Annotated[tuple[str, ...], Field(max_length=2000), BeforeValidator(_as_biases)]
"""Numbers to add to the logits of tokens, by token id or text."""


Ids = Annotated[tuple[Count, ...], Field(max_length=2000)]


def allow(ids: tuple[int, ...]) -> list[str]:
    """Return biases so large that no other token is chosen."""
    return [f"id:{id_}={-BANNED:g}" for id_ in ids]


class Body(BaseModel):
    """The body of a request: unknown fields are ignored, and null is the default."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}
