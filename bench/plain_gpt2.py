"""GPT-2 as a plain training script has it: linear layers, one fused attention, all logits at once.

Written for bench/gpu_train.py in the way of Karpathy's nanoGPT, whose loop it stands for: the model
compiled as a whole, bfloat16 autocast, fused AdamW, the vocabulary filled up to a multiple of 64.

Legend: B batch, T time, C channels, H heads, D head dimension, V vocabulary.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from penwright.model import GPT2Config


class PlainBlock(nn.Module):
    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        width = config.n_embd
        self.n_head = config.n_head
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x_BTC: Tensor) -> Tensor:
        q_BHTD, k_BHTD, v_BHTD = (
            part_BTC.unflatten(2, (self.n_head, -1)).transpose(1, 2)
            for part_BTC in self.attn(self.ln_1(x_BTC)).chunk(3, dim=2)
        )
        y_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHTD, v_BHTD, is_causal=True)
        x_BTC = x_BTC + self.proj(y_BHTD.transpose(1, 2).flatten(2))
        return x_BTC + self.down(F.gelu(self.up(self.ln_2(x_BTC)), approximate="tanh"))


class PlainGPT2(nn.Module):
    """tokens and targets [B, T] -> the mean loss."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        vocabulary = -(-config.vocab_size // 64) * 64
        self.wte = nn.Embedding(vocabulary, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.h = nn.ModuleList(PlainBlock(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens_BT: Tensor, targets_BT: Tensor) -> Tensor:
        x_BTC = self.wte(tokens_BT) + self.wpe.weight[: tokens_BT.shape[1]]
        for block in self.h:
            x_BTC = block(x_BTC)
        logits_BTV = F.linear(self.ln_f(x_BTC), self.wte.weight)
        return F.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten())
