"""A network for tables.

Copy this file, change it, and bring it: lepton models train … --model mlp.py:build.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


class Mlp(nn.Module):
    """Layers of neurons; a column of categories or words becomes an embedding first, tokens the mean of theirs.

    Args:
        problem: With `blocks` and `outputs`.
        hidden: Widths of the layers.
        dropout: Share of the neurons that are left out while learning.
    """

    def __init__(self, problem: Any, hidden: Sequence[int] = (128, 64), dropout: float = 0.0) -> None:
        super().__init__()
        plain: list[int] = []
        self.spans: list[tuple[int, int]] = []
        self.embeddings = nn.ModuleList()
        width = 0
        for block in problem.blocks:
            if block.kind == "number":
                plain.append(block.first)
                continue
            size = block.size if block.kind == "tokens" else block.width
            dimensions = min(32, (size + 1) // 2)
            # A row of zeros and ones times a matrix is the sum of the embeddings of what is there.
            embedding = nn.Embedding(size, dimensions) if block.kind == "tokens" else nn.Linear(size, dimensions)
            self.embeddings.append(embedding)
            self.spans.append((block.first, block.first + block.width))
            width += dimensions
        self.register_buffer("plain", torch.tensor(plain, dtype=torch.long), persistent=False)
        layers: list[nn.Module] = []
        width += len(plain)
        for size in hidden:
            layers += [nn.Linear(width, size), nn.ReLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, problem.outputs))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return [n, outputs] for [n, width]."""
        parts = [features[:, self.plain]] if len(self.plain) else []
        for embedding, (first, end) in zip(self.embeddings, self.spans, strict=True):
            columns = features[:, first:end]
            if isinstance(embedding, nn.Embedding):  # 0 is no word
                there = (columns > 0).to(features.dtype).unsqueeze(2)
                total = (embedding(columns.long()) * there).sum(dim=1)
                parts.append(total / there.sum(dim=1).clamp(min=1.0))
            else:
                parts.append(embedding(columns))
        return self.layers(torch.cat(parts, dim=1))


def build(problem: Any, hidden: Sequence[int] = (128, 64), dropout: float = 0.0) -> nn.Module:
    """Return the network for a problem."""
    return Mlp(problem, hidden, dropout)
