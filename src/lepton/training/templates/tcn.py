"""Convolutions over time for sequences.

Copy this file, change it, and bring it: lepton models train … --model tcn.py:build.

The columns are the values of a sequence, t0, t1, …, or tokens, the numbers of words in their order, 0 for none. After
Bai, Kolter, Koltun, An Empirical Evaluation of Generic Convolutional and Recurrent Networks, 2018.
"""

from typing import Any

import torch
from torch import nn


class Layer(nn.Module):
    """A convolution that sees `dilation` steps apart, and only what came before; its result is added."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.before = 2 * dilation
        self.convolution = nn.Conv1d(channels, channels, 3, dilation=dilation)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Return [n, channels, length]."""
        return sequence + torch.relu(self.convolution(nn.functional.pad(sequence, (self.before, 0))))


class Tcn(nn.Module):
    """Layers that see twice as far each, until they see all; the end and the mean of the sequence are answered from.

    Args:
        problem: With `width`, `blocks` and `outputs`; if one block is of tokens, the others are left out.
        channels: Number of maps.
    """

    def __init__(self, problem: Any, channels: int = 32) -> None:
        super().__init__()
        blocks = [block for block in problem.blocks if block.kind == "tokens"]
        self.first, self.end, self.words = 0, problem.width, None
        if blocks:
            self.first, self.end = blocks[0].first, blocks[0].first + blocks[0].width
            self.words = nn.Embedding(blocks[0].size, channels, padding_idx=0)
        self.enter = nn.Conv1d(channels if self.words is not None else 1, channels, 1)
        dilations: list[int] = []
        seen = 1
        while not dilations or seen < self.end - self.first:
            dilations.append(2 ** len(dilations))
            seen += 2 * dilations[-1]
        self.layers = nn.Sequential(*(Layer(channels, dilation) for dilation in dilations))
        self.last = nn.Linear(2 * channels, problem.outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return [n, outputs] for [n, width]."""
        columns = features[:, self.first : self.end]
        entered = columns.unsqueeze(1) if self.words is None else self.words(columns.long()).transpose(1, 2)
        sequence = self.layers(self.enter(entered))
        return self.last(torch.cat([sequence[:, :, -1], sequence.mean(dim=2)], dim=1))


def build(problem: Any) -> nn.Module:
    """Return the network for a problem."""
    return Tcn(problem)
