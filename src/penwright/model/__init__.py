"""GPT-2 in pure PyTorch. Attention, cache and loss compose with it from outside."""

from __future__ import annotations

from penwright.model.attention import Attend, bring, documents
from penwright.model.cache import KVCache
from penwright.model.config import SIZES, GPT2Config
from penwright.model.gpt2 import GPT2, evaluating, init_weights
from penwright.model.loss import TokenScores, chunked_cross_entropy, token_logprobs, token_scores

__all__ = [
    "GPT2",
    "SIZES",
    "Attend",
    "GPT2Config",
    "KVCache",
    "TokenScores",
    "bring",
    "chunked_cross_entropy",
    "documents",
    "evaluating",
    "init_weights",
    "token_logprobs",
    "token_scores",
]
