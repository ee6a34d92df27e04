"""A transformer small enough to train in minutes on a CPU, of the parts that open models have: RMSNorm, rotary
positions, SwiGLU. No linear layer has a bias."""

import math
import sys
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEARNING_RATE, WARMUP = 3e-3, 50
"""At its peak, as models of this size bear it, and steps until there."""


class Block(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """float32[batch, length, width] to the same shape."""
        qkv = self.qkv(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1)).movedim(-2, 1)
        q, k, v = qkv.unbind(-2)
        mixed = F.scaled_dot_product_attention(rotate(q, *rotation), rotate(k, *rotation), v, is_causal=True)
        x = x + self.out(mixed.movedim(1, -2).flatten(-2))
        gate, up = self.gate_up(self.norm_mlp(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)

    def linears(self) -> Iterator[nn.Linear]:
        """In the order in which they are applied."""
        yield from (self.qkv, self.out, self.gate_up, self.down)


class GPT(nn.Module):
    """layers blocks between an embedding and a head of their own."""

    def __init__(self, ids: int, layers: int = 4, width: int = 128, heads: int = 2, hidden: int = 384):
        super().__init__()
        self.per_head = width // heads
        self.embed = nn.Embedding(ids, width)
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, ids, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                last = name.endswith(("out.weight", "down.weight"))  # GPT-2's: what adds to the residual is smaller
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * layers) if last else 0.02)

    def rotation(self, length: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines of rotary positions (arXiv:2104.09864): float32[length, width of a head / 2] each."""
        speeds = 10_000 ** -(torch.arange(0, self.per_head, 2) / self.per_head)
        angles = torch.outer(torch.arange(length), speeds)
        return angles.cos(), angles.sin()

    def forward(self, ids: Tensor) -> Tensor:
        """int64[batch, length] to logits, float32[batch, length, ids]."""
        x, rotation = self.embed(ids), self.rotation(ids.shape[1])
        for block in self.blocks:
            x = block(x, rotation)
        return self.head(self.norm(x))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def loss(model: GPT, windows: Tensor) -> Tensor:
    """Mean nats a token of int64[batch, length + 1], each token given those before it."""
    logits = model(windows[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


def train(model: GPT, tokens: Tensor, steps: int, length: int, batch: int = 4) -> None:
    """Train on random windows of int64[tokens]; the course is told on stderr."""
    matrices = [weight for weight in model.parameters() if weight.ndim == 2]
    vectors = [weight for weight in model.parameters() if weight.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.95))
    begin = time.perf_counter()
    for step in range(steps):
        done = step / steps
        rate = LEARNING_RATE * min((step + 1) / WARMUP, 0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        starts = torch.randint(len(tokens) - length, (batch,))
        value = loss(model, torch.stack([tokens[start : start + length + 1] for start in starts]))
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 99 or step + 1 == steps:
            seconds = time.perf_counter() - begin
            print(f"  step {step + 1:>5}  loss {value.item():.3f}  {seconds:.0f} s", file=sys.stderr)


@torch.no_grad()
def perplexity(model: GPT, windows: Tensor, batch: int = 32) -> float:
    """Of int64[windows, length + 1], each token but the first given those before it."""
    total = sum(loss(model, part).item() * len(part) for part in windows.split(batch))
    return math.exp(total / len(windows))
