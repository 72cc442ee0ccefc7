"""The words of labels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelSet:
    """Labels of one dataset that were made together. Nothing makes one yet."""

    name: str
    dataset: str
