"""A transformer for texts.

Copy this file, change it, and bring it: lepton models train … --model transformer.py:build.

The columns of one block are tokens, the numbers of the words in their order, 0 for none. After Vaswani et al.,
Attention Is All You Need, 2017, the encoder, with the normalization before each layer.
"""

from typing import Any

import torch
from torch import nn


class Layer(nn.Module):
    """Every word looks at all words; then a small network for each."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_network = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.network = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, words: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Return [n, length, width]; `there` [n, 1, 1, length] says which of them are words."""
        mixed = self.mix(self.before_attention(words)).unflatten(2, (3, self.heads, -1))
        query, key, value = (part.transpose(1, 2) for part in mixed.unbind(dim=2))
        likeness = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        shares = torch.softmax(likeness.masked_fill(~there, -1e9), dim=3)
        words = words + self.out((shares @ value).transpose(1, 2).flatten(2))
        return words + self.network(self.before_network(words))


class Transformer(nn.Module):
    """Embeddings of words and places, layers of attention, the mean over the words.

    Args:
        problem: With `outputs` and `blocks`, one of which is of tokens; the others are left out.
        width: Size of an embedding; a multiple of `heads`.
        heads: Heads of attention.
        depth: Number of layers.
    """

    def __init__(self, problem: Any, width: int = 32, heads: int = 4, depth: int = 2) -> None:
        super().__init__()
        blocks = [block for block in problem.blocks if block.kind == "tokens"]
        if not blocks:
            raise ValueError("there is no column of tokens: make one of a column of text")
        self.first, self.end = blocks[0].first, blocks[0].first + blocks[0].width
        self.words = nn.Embedding(blocks[0].size, width)
        self.places = nn.Parameter(torch.randn(blocks[0].width, width) * 0.02)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, problem.outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return [n, outputs] for [n, width]."""
        tokens = features[:, self.first : self.end].long()
        there = tokens > 0
        words = self.words(tokens) + self.places
        for layer in self.layers:
            words = layer(words, there[:, None, None, :])
        counted = there.unsqueeze(2).to(words.dtype)
        return self.last((self.norm(words) * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1.0))


def build(problem: Any) -> nn.Module:
    """Return the network for a problem."""
    return Transformer(problem)
