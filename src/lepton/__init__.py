"""Lepton: from raw data to secured real-time predictions, on machines you own.

Everything heavy is imported on first use; ``import lepton`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepton.client import Client, connect
    from lepton.client.functions import run
    from lepton.client.heartbeat import heartbeat
    from lepton.client.optuna_storage import optuna_storage
    from lepton.client.recording import TrackedRun, start_run
    from lepton.local import open  # noqa: A004
    from lepton.training.linear import LinearRegression
    from lepton.training.logistic import LogisticRegression

__version__ = "0.1.0"
__all__ = [
    "Client", "LinearRegression", "LogisticRegression", "TrackedRun", "__version__", "connect", "heartbeat",
    "open", "optuna_storage", "run", "start_run",
]  # fmt: skip

_HOMES = {
    "Client": "lepton.client",
    "connect": "lepton.client",
    "open": "lepton.local",
    "run": "lepton.client.functions",
    "heartbeat": "lepton.client.heartbeat",
    "optuna_storage": "lepton.client.optuna_storage",
    "TrackedRun": "lepton.client.recording",
    "start_run": "lepton.client.recording",
    "LinearRegression": "lepton.training.linear",
    "LogisticRegression": "lepton.training.logistic",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lepton' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
