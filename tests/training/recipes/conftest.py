"""What tests of recipes share."""

from __future__ import annotations

import functools

import pytest


@pytest.fixture(scope="session")
def onnx_operators_read_once():
    """PyTorch reads the same hundreds of operators at each export, which is most of an export of a small network."""
    from torch.onnx._internal.exporter import _registration

    registry = _registration.ONNXRegistry
    before = registry.__dict__["from_torchlib"]
    registry.from_torchlib = staticmethod(functools.cache(registry.from_torchlib))
    yield
    registry.from_torchlib = before
