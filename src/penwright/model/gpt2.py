"""GPT-2 and the first GPT, under Hugging Face's parameter names.

Legend: B batch, T time, C channels, H heads, D head dimension, V vocabulary.

Radford et al., "Language Models are Unsupervised Multitask Learners" (2019), and "Improving
Language Understanding by Generative Pre-Training" (2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from penwright.model.attention import Attend, attend_causal
from penwright.model.config import GPT2Config
from penwright.model.loss import LossKernels


class Conv1D(nn.Module):
    """x @ weight + bias; OpenAI keeps the weight as [in, out]."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_in, n_out))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        flat = torch.addmm(self.bias, x.flatten(0, -2), self.weight)
        return flat.view(*x.shape[:-1], -1)


class Attention(nn.Module):
    def __init__(self, config: GPT2Config, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.n_head = config.n_head
        self.scale = config.attention_scale(layer)
        self.upcast = config.reorder_and_upcast_attn
        self.c_attn = Conv1D(config.n_embd, 3 * config.n_embd)
        self.c_proj = Conv1D(config.n_embd, config.n_embd)
        self.attn_dropout = nn.Dropout(config.attn_pdrop)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x_BTC: Tensor, attend: Attend) -> Tensor:
        return self.mix(self.c_attn(x_BTC), attend)

    def mix(self, qkv_BT3C: Tensor, attend: Attend) -> Tensor:
        """Apply multi-head attention: [B, T, 3 C] -> [B, T, C]."""
        q_BHTD, k_BHTD, v_BHTD = (
            part_BTC.view(*part_BTC.shape[:2], self.n_head, -1).transpose(1, 2)
            for part_BTC in qkv_BT3C.chunk(3, dim=-1)
        )
        dropout_p = self.attn_dropout.p if self.training else 0.0
        if self.upcast:
            wide = torch.promote_types(q_BHTD.dtype, torch.float32)
            qkv = q_BHTD.to(wide), k_BHTD.to(wide), v_BHTD.to(wide)
            with torch.autocast(qkv_BT3C.device.type, enabled=False):
                mixed_BHTD = attend(self.layer, *qkv, dropout_p, self.scale).to(v_BHTD.dtype)
        else:
            mixed_BHTD = attend(self.layer, q_BHTD, k_BHTD, v_BHTD, dropout_p, self.scale)
        y_BTC = self.c_proj(mixed_BHTD.transpose(1, 2).flatten(2))
        return cast(Tensor, self.resid_dropout(y_BTC))


class MLP(nn.Module):
    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.approximate = "tanh" if config.tanh_gelu else "none"
        self.c_fc = Conv1D(config.n_embd, config.inner)
        self.c_proj = Conv1D(config.inner, config.n_embd)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x_BTC: Tensor) -> Tensor:
        inner = F.gelu(self.c_fc(x_BTC), approximate=self.approximate)
        return cast(Tensor, self.dropout(self.c_proj(inner)))


class Block(nn.Module):
    def __init__(self, config: GPT2Config, layer: int) -> None:
        super().__init__()
        self.norm_last = config.first_gpt
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = Attention(config, layer)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config)

    def forward(self, x_BTC: Tensor, attend: Attend) -> Tensor:
        if self.norm_last:
            x_BTC = self.ln_1(x_BTC + self.attn(x_BTC, attend))
            return cast(Tensor, self.ln_2(x_BTC + self.mlp(x_BTC)))
        x_BTC = x_BTC + self.attn(self.ln_1(x_BTC), attend)
        return cast(Tensor, x_BTC + self.mlp(self.ln_2(x_BTC)))


class GPT2(nn.Module):
    """GPT-2: tokens [B, T] -> hidden states [B, T, C]; `logits` maps them to [B, T, V].

    A new model's matrices are zero: call `init_weights`, or load a state dict. The names in
    `state_dict` are Hugging Face's; a tied head has no entry of its own.
    """

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.config = config
        self.kernels: LossKernels | None = None  # set while the model is trained on a CPU
        tokens, positions = _embedding_names(config)
        parts: dict[str, nn.Module] = {
            tokens: _embedding(config.vocab_size, config.n_embd),
            positions: _embedding(config.n_positions, config.n_embd),
            "drop": nn.Dropout(config.embd_pdrop),
            "h": nn.ModuleList(Block(config, layer) for layer in range(config.n_layer)),
        }
        if not config.first_gpt:
            parts["ln_f"] = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.transformer = nn.ModuleDict(parts)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Module()
            self.lm_head.weight = nn.Parameter(torch.zeros(config.vocab_size, config.n_embd))

    def forward(
        self, tokens_BT: Tensor, positions_BT: Tensor | None = None, attend: Attend | None = None
    ) -> Tensor:
        """Return the hidden states after the last norm; without `attend`, each row is one document.

        Raises ValueError for rows longer than the context.
        """
        if positions_BT is None:
            length = tokens_BT.shape[1]
            if length > self.config.n_positions:
                raise ValueError(f"{length} tokens exceed the context, {self.config.n_positions}")
            positions_BT = torch.arange(length, device=tokens_BT.device)
        attend = attend or attend_causal
        x_BTC = self.embed_tokens(tokens_BT) + self.embed_positions(positions_BT)
        x_BTC = self.transformer["drop"](x_BTC)
        for block in self.blocks:
            x_BTC = block(x_BTC, attend)
        return x_BTC if self.config.first_gpt else cast(Tensor, self.transformer["ln_f"](x_BTC))

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of the next token: [..., C] -> [..., V]."""
        return F.linear(hidden, self.head_weight_VC)

    @property
    def head_weight_VC(self) -> Tensor:
        """Return the output matrix; the token embedding if the head is tied."""
        tied = self.config.tie_word_embeddings
        return self.embed_tokens.weight if tied else cast(Tensor, self.lm_head.weight)

    @property
    def embed_tokens(self) -> nn.Embedding:
        return cast(nn.Embedding, self.transformer[_embedding_names(self.config)[0]])

    @property
    def embed_positions(self) -> nn.Embedding:
        return cast(nn.Embedding, self.transformer[_embedding_names(self.config)[1]])

    @property
    def blocks(self) -> nn.ModuleList:
        return cast(nn.ModuleList, self.transformer["h"])

    @property
    def n_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def set_dropout(self, p: float) -> None:
        """Set every dropout of the model to `p`; the config stays as it is."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = p


def _embedding_names(config: GPT2Config) -> tuple[str, str]:
    return ("tokens_embed", "positions_embed") if config.first_gpt else ("wte", "wpe")


def _embedding(n: int, width: int) -> nn.Embedding:
    # nn.Embedding(n, width) would draw random numbers that are thrown away at once.
    return nn.Embedding(n, width, _weight=torch.zeros(n, width))


@torch.no_grad()
def init_weights(model: GPT2, seed: int) -> None:
    """Initialise all weights as OpenAI did, with equal values on every device.

    Matrices are normal with deviation `initializer_range`; positions with half of it; GPT-2's
    projections back into the residual stream are divided by sqrt(2 n_layer) (section 2.3 of
    its paper). Norms begin as the identity, biases at zero.
    """
    config = model.config
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.fill_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0)
            continue
        deviation = config.initializer_range
        if parameter is model.embed_positions.weight:
            deviation /= 2
        elif name.endswith("c_proj.weight") and not config.first_gpt:
            deviation /= math.sqrt(2 * config.n_layer)
        drawn = torch.empty(parameter.shape).normal_(0.0, deviation, generator=generator)
        parameter.copy_(drawn)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout off for a block of code, then restore the model's mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
