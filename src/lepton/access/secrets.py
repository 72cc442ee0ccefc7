"""Secrets that are shown once and kept as hashes: tokens, session cookies, sign-in codes."""

from __future__ import annotations

import hashlib
import secrets

TOKEN = "lpt_"  # noqa: S105
SESSION = "lps_"
CODE = "lpc_"
RUN = "lpr_"
SHOWN_CHARACTERS = 10
"""How much of a token its owner sees later: the kind and 36 of its 256 bits."""


def mint(kind: str) -> str:
    """Return a new secret: its kind and 256 random bits."""
    return kind + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Hash a secret for keeping. Plain SHA-256 is enough: nobody can guess 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
