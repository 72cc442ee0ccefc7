"""Loads what launchers need, so that those which are forked have it."""

from __future__ import annotations

from contextlib import suppress

from lepton.client.sdk import Client
from lepton.core.errors import LeptonError


def up() -> None:
    """Call nobody: what a call loads is then there before the first fork."""
    with suppress(LeptonError), Client("http://127.0.0.1:1", None) as client:
        client.health()
