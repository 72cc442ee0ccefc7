"""A residual network for square images.

Copy this file, change it, and bring it: lepton models train … --model resnet.py:build.

The columns of the matrix are the pixels of an image in gray, row after row: 784 of them are 28 by 28. After He, Zhang,
Ren, Sun, Deep Residual Learning for Image Recognition, 2016, with group instead of batch normalization: it does the
same for one worker and for many, and while learning and answering.
"""

from math import isqrt
from typing import Any

import torch
from torch import nn


class Block(nn.Module):
    """Two convolutions whose result is added to what came in; `stride` 2 halves the image."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
            nn.GroupNorm(4, after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.GroupNorm(4, after),
        )
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(before, after, 1, stride=stride, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return [n, after, height, width]."""
        return torch.relu(self.layers(images) + self.shortcut(images))


class ResNet(nn.Module):
    """A convolution, blocks in stages of which each but the first halves the image, and the mean of every map.

    Args:
        problem: With `width`, a square number of pixels, and `outputs`.
        channels: Maps of each stage, multiples of 4.
        depth: Blocks in a stage.
    """

    def __init__(self, problem: Any, channels: tuple[int, ...] = (16, 32, 64), depth: int = 1) -> None:
        super().__init__()
        self.side = isqrt(problem.width)
        if self.side**2 != problem.width:
            raise ValueError(f"{problem.width} columns are no square image")
        layers: list[nn.Module] = [nn.Conv2d(1, channels[0], 3, padding=1, bias=False)]
        before = channels[0]
        for stage, after in enumerate(channels):
            for block in range(depth):
                layers.append(Block(before, after, 2 if stage and block == 0 else 1))
                before = after
        self.blocks = nn.Sequential(*layers)
        self.last = nn.Linear(before, problem.outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return [n, outputs] for [n, width]."""
        maps = self.blocks(features.unflatten(1, (1, self.side, self.side)))
        return self.last(maps.mean(dim=(2, 3)))


def build(problem: Any) -> nn.Module:
    """Return the network for a problem."""
    return ResNet(problem)
