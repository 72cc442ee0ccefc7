"""Columns of tokens as a transformer takes them, and a transformer as a network of the whole matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lepton.training.recipes.port import Block, Problem
from lepton.training.recipes.scale import Scale


@dataclass(frozen=True)
class TokenColumns:
    """Where the tokens are in the matrix; several texts are read one after the other, each with words of its own.

    Attributes:
        spans: For each text: its first column, how many, and what is added to its tokens to tell them from the others'.
        size: How many tokens there are, with 0 for none.
        width: How many columns.
    """

    spans: tuple[tuple[int, int, int], ...]
    size: int
    width: int

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> TokenColumns:
        """Return those of blocks of the kind ``tokens``."""
        spans, shift = [], 0
        for block in blocks:
            spans.append((block.first, block.width, shift))
            shift += block.size - 1
        return cls(tuple(spans), shift + 1, sum(block.width for block in blocks))

    def read(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return ``input_ids`` and ``attention_mask``, int64 [n, width], of the matrix, float32 [n, width]."""
        parts = []
        for first, width, shift in self.spans:
            tokens = features[:, first : first + width].to(torch.int64)
            parts.append(torch.where(tokens != 0, tokens + shift, tokens) if shift else tokens)
        tokens = torch.cat(parts, dim=1)
        mask = (tokens != 0).to(torch.int64)
        # An empty text has one place to look at too: without any, attention would be 0 / 0
        mask = torch.cat([torch.ones_like(mask[:, :1]), mask[:, 1:]], dim=1)
        return {"input_ids": tokens, "attention_mask": mask}


class OfTexts(nn.Module):
    """A transformer that takes the matrix and answers probabilities [n, K], or numbers [n] in the target's own scale."""

    def __init__(self, network: Any, columns: TokenColumns, problem: Problem, scale: Scale) -> None:
        super().__init__()
        self.network, self.columns, self.problem, self.scale = network, columns, problem, scale

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the answers for float32 [n, width]."""
        logits = self.network(**self.columns.read(features)).logits
        if self.problem.classes:
            return torch.softmax(logits, dim=-1)
        return logits.reshape(-1) * self.scale.deviation + self.scale.mean
