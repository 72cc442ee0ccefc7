"""A recurrent network for sequences.

Copy this file, change it, and bring it: lepton models train … --model gru.py:build.

The columns are the values of a sequence, t0, t1, …, or tokens, the numbers of words in their order, 0 for none.
"""

from typing import Any

import torch
from torch import nn


class Gru(nn.Module):
    """A gated recurrent unit (Cho et al., 2014) reads the sequence; a layer answers for where it ends.

    Args:
        problem: With `width`, `blocks` and `outputs`; if one block is of tokens, the others are left out.
        hidden: Size of the state.
        embedding: Size of the embedding of a word.
    """

    def __init__(self, problem: Any, hidden: int = 64, embedding: int = 32) -> None:
        super().__init__()
        blocks = [block for block in problem.blocks if block.kind == "tokens"]
        self.first, self.end, self.words = 0, problem.width, None
        if blocks:
            self.first, self.end = blocks[0].first, blocks[0].first + blocks[0].width
            self.words = nn.Embedding(blocks[0].size, embedding)
        self.reader = nn.GRU(embedding if self.words is not None else 1, hidden, batch_first=True)
        self.last = nn.Linear(hidden, problem.outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return [n, outputs] for [n, width]."""
        columns = features[:, self.first : self.end]
        if self.words is None:
            states, _ = self.reader(columns.unsqueeze(2))
            return self.last(states[:, -1])
        states, _ = self.reader(self.words(columns.long()))
        there = (columns > 0).unsqueeze(2).to(states.dtype)  # 0 is no word: what it did to the state is not looked at
        return self.last((states * there).sum(dim=1) / there.sum(dim=1).clamp(min=1.0))


def build(problem: Any) -> nn.Module:
    """Return the network for a problem."""
    return Gru(problem)
