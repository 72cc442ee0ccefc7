"""Who may predict: a list of tokens that the control plane signs and sends, so that no request asks anybody anything.

The list holds hashes, never tokens. It counts for a day after it was signed, so predictions go on while the control
plane is away; while it is there, a changed list arrives within seconds. Signature: Ed25519 (RFC 8032).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lepton.core.errors import Forbidden, LeptonError, Unauthenticated, Unavailable

VALID_S = 24 * 3600.0
"""How long a list counts after it was signed."""
_REMEMBERED = 10_000


@dataclass(frozen=True)
class TokenList:
    """The tokens of everybody in a project.

    Attributes:
        project: Where they are good.
        issued_at: When it was signed, seconds since 1970.
        allowed: When each ends (None: never) by SHA-256 of the token, hex: those that may predict.
        refused: The same for those of people whose role or token is not good for predicting.
    """

    project: str
    issued_at: float
    allowed: Mapping[str, float | None]
    refused: Mapping[str, float | None]


def sign(seed: bytes, tokens: TokenList) -> str:
    """Write and sign a list.

    Args:
        seed: The control plane's private key, 32 bytes.
        tokens: What to say.
    """
    payload = json.dumps(
        {
            "project": tokens.project,
            "issued_at": tokens.issued_at,
            "allowed": dict(tokens.allowed),
            "refused": dict(tokens.refused),
        }
    ).encode()
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(payload)
    return f"{base64.b64encode(payload).decode()}.{base64.b64encode(signature).decode()}"


def public_key(seed: bytes) -> bytes:
    """The key that proves what was signed with `seed`: 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def verify(key: bytes, document: str) -> TokenList:
    """Read a signed list.

    Raises:
        Unauthenticated: if it was not signed with the other half of `key`, or is no list at all.
    """
    try:
        payload, signature = (base64.b64decode(part, validate=True) for part in document.split("."))
        Ed25519PublicKey.from_public_bytes(key).verify(signature, payload)
        found = json.loads(payload)
        return TokenList(found["project"], float(found["issued_at"]), found["allowed"], found["refused"])
    except (InvalidSignature, ValueError, KeyError, TypeError):
        raise Unauthenticated("The list of tokens is not signed by this endpoint's platform.") from None


class Tokens:
    """Decides for each request whether its token may predict.

    Args:
        key: Public key of the control plane, 32 bytes.
        project: The endpoint's project; a list of another is not taken.
        secret: What the control plane itself shows as its token.
        now: Seconds since 1970.
    """

    def __init__(self, *, key: bytes, project: str, secret: str, now: Callable[[], float] = time.time) -> None:
        self._key = key
        self._project = project
        self._secret = hashlib.sha256(secret.encode()).digest()
        self._now = now
        self._list: TokenList | None = None
        self._known: dict[bytes, float] = {}
        """When what was decided for a header ends; only for those that were allowed."""

    def update(self, document: str) -> None:
        """Take a new list; an older one than the present is ignored.

        Raises:
            Unauthenticated: if it was not signed by the platform, or is for another project.
        """
        tokens = verify(self._key, document)
        if tokens.project != self._project:
            raise Unauthenticated("The list of tokens is for another project.")
        if self._list is None or tokens.issued_at >= self._list.issued_at:
            self._list = tokens
            self._known.clear()

    def refusal(self, authorization: bytes | None) -> LeptonError | None:
        """Say why the bearer of an ``Authorization`` header may not predict; None if it may."""
        known = self._known.get(authorization) if authorization is not None else None
        if known is not None and known > self._now():
            return None
        return self._decide(authorization or b"")

    def _decide(self, authorization: bytes) -> LeptonError | None:
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            return Unauthenticated("This endpoint needs a token. Send it as header 'Authorization: Bearer lpt_…'.")
        digest = hashlib.sha256(token.strip()).digest()
        if hmac.compare_digest(digest, self._secret):
            return None
        now, tokens = self._now(), self._list
        if tokens is None or tokens.issued_at + VALID_S <= now:
            return Unavailable(
                "Tokens cannot be checked, as the platform has not been heard of for a day. Start it with: lepton up"
                if tokens is not None
                else "Tokens cannot be checked yet. Try again in a second."
            )
        name = digest.hex()
        for which, refusal in ((tokens.allowed, None), (tokens.refused, _FORBIDDEN)):
            if name in which:
                ends = which[name]
                if ends is not None and ends <= now:
                    return Unauthenticated("This token has expired. Make a new one with: lepton tokens create")
                if refusal is None:
                    self._remember(authorization, min(tokens.issued_at + VALID_S, ends or float("inf")))
                return refusal
        return Unauthenticated("This token is unknown or was revoked. Make one with: lepton tokens create")

    def _remember(self, authorization: bytes, until: float) -> None:
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[authorization] = until


_FORBIDDEN = Forbidden(
    "This token is not good for predicting here: its role or its scopes do not hold endpoints.predict. "
    "Ask an owner of the project, or make a token with: lepton tokens create --scope endpoints.predict"
)
