"""The token of a run: made of its own key and of when it was started, so it is kept nowhere and ends with it. Pure."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime

from lepton.access.secrets import RUN
from lepton.store.ciphers import derive

_ID_CHARACTERS = 26


def write(run_key: bytes, run_id: str, started_at: datetime) -> str:
    """Return the token of a run that was started then; a later start has another."""
    purpose = b"lepton/run-token/1/" + started_at.astimezone(UTC).isoformat().encode()
    secret = base64.urlsafe_b64encode(derive(run_key, purpose)).decode().rstrip("=")
    return f"{RUN}{run_id}{secret}"


def run_of(token: str) -> str:
    """Return which run a token says that it is of; not proof of anything."""
    return token.removeprefix(RUN)[:_ID_CHARACTERS]


def is_right(token: str, run_key: bytes, run_id: str, started_at: datetime) -> bool:
    """Whether a token is that of a run that was started then."""
    return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), write(run_key, run_id, started_at).encode())
