"""A network for small square images.

Copy this file, change it, and bring it: lepton models train … --model cnn.py:build.

The columns of the matrix are the pixels of an image in gray, row after row: 64 of them are 8 by 8.
"""

from math import isqrt
from typing import Any

import torch
from torch import nn


class Cnn(nn.Module):
    """Two convolutions, each halving the image, and a layer on what is left.

    Args:
        problem: With `width`, a square number of pixels, 4 by 4 or more, and `outputs`.
        channels: Maps after the first convolution; twice as many after the second.
    """

    def __init__(self, problem: Any, channels: int = 16) -> None:
        super().__init__()
        self.side = isqrt(problem.width)
        if self.side**2 != problem.width or self.side < 4:
            raise ValueError(f"{problem.width} columns are no square image of 4 by 4 pixels or more")
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * channels * (self.side // 4) ** 2, 64),
            nn.ReLU(),
            nn.Linear(64, problem.outputs),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return [n, outputs] for [n, width]."""
        return self.layers(features.unflatten(1, (1, self.side, self.side)))


def build(problem: Any) -> nn.Module:
    """Return the network for a problem."""
    return Cnn(problem)
