"""Who may predict: asked of the control plane once every few seconds and token, remembered in between.

When the control plane is away, a token it allowed within the last day goes on; one it never saw gets 503.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import quote

import httpx2

from lepton.core.errors import LeptonError, Unauthenticated, Unavailable, error_from_code

AWAY_S = 24 * 3600.0
"""How long an allowed token goes on while the control plane does not answer."""
REMEMBERED = 10_000
"""Tokens remembered at most; the one unused for longest is forgotten first."""


@dataclass(frozen=True)
class _Decision:
    asked: float
    fresh_until: float
    error: LeptonError | None


class Grants:
    """Decides for each request whether its token may predict on this endpoint."""

    def __init__(self, *, control_url: str, project: str, endpoint: str, secret: str) -> None:
        path = f"/v1/endpoints/{quote(endpoint, safe='')}/grant"
        self._url = f"{control_url}{path}?project={quote(project, safe='')}"
        self._secret = hashlib.sha256(secret.encode()).digest()
        self._decisions: OrderedDict[bytes, _Decision] = OrderedDict()
        self._asking: dict[bytes, asyncio.Lock] = {}
        self._client = httpx2.AsyncClient(timeout=5.0, trust_env=False)

    async def check(self, authorization: str) -> None:
        """Return if the bearer of this ``Authorization`` header may predict.

        Raises:
            Unauthenticated, Forbidden, NotFound: as the control plane decided.
            Unavailable: if it cannot be asked and has not allowed this token within the last day.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("This endpoint needs a token. Send it as header 'Authorization: Bearer lpt_…'.")
        digest = hashlib.sha256(token.encode()).digest()
        if hmac.compare_digest(digest, self._secret):
            return
        decision = self._decisions.get(digest)
        if decision is None or decision.fresh_until < time.monotonic():
            decision = await self._ask_once(digest, token)
        self._decisions.move_to_end(digest)
        if decision.error is not None:
            raise decision.error

    async def _ask_once(self, digest: bytes, token: str) -> _Decision:
        # Requests that arrive together with a stale token wait for one question instead of asking one each.
        lock = self._asking.setdefault(digest, asyncio.Lock())
        try:
            async with lock:
                known = self._decisions.get(digest)
                if known is None or known.fresh_until < time.monotonic():
                    self._decisions[digest] = known = await self._ask(token, known)
                    if len(self._decisions) > REMEMBERED:
                        self._decisions.popitem(last=False)
                return known
        finally:
            self._asking.pop(digest, None)

    async def _ask(self, token: str, known: _Decision | None) -> _Decision:
        now = time.monotonic()
        try:
            answer = await self._client.get(self._url, headers={"Authorization": f"Bearer {token}"})
        except (httpx2.HTTPError, UnicodeError, ValueError):
            return self._while_away(now, known)
        if answer.status_code == 200:
            return _Decision(now, now + float(answer.json()["expires_in_s"]), None)
        if answer.status_code >= 500:
            return self._while_away(now, known)
        wrong = answer.json()["error"]
        return _Decision(now, now + 1.0, error_from_code(wrong["code"], wrong["message"]))

    @staticmethod
    def _while_away(now: float, known: _Decision | None) -> _Decision:
        if known is not None and known.error is None and now - known.asked < AWAY_S:
            return _Decision(known.asked, now + 1.0, None)
        return _Decision(
            now, now + 1.0, Unavailable("The token cannot be checked, as the platform does not answer. Try again soon.")
        )
