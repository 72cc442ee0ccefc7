"""The limits of an endpoint, as one worker holds them: requests a second, altogether and by token, and at one time.

Pure: time comes from outside. Rates are token buckets, which hold one second's worth, and one request at least. Source:
https://en.wikipedia.org/wiki/Token_bucket
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from lepton.core.errors import TooManyRequests
from lepton.endpoints.replica.config import Limits

MOST_TOKENS = 10_000
"""Tokens whose rates are remembered; beyond it those that have not asked for a while are forgotten."""


class Bucket:
    """Allows `rate` requests a second on average, and `most` at once.

    Args:
        rate: Requests a second.
        now_s: Seconds on a clock that only goes forward.
    """

    __slots__ = ("_asked_s", "_left", "most", "rate")

    def __init__(self, rate: float, now_s: float) -> None:
        self.rate = rate
        self.most = self._left = max(1.0, rate)
        self._asked_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Return how long until a request is allowed; 0 if one is now."""
        self._left = min(self.most, self._left + (now_s - self._asked_s) * self.rate)
        self._asked_s = now_s
        return 0.0 if self._left >= 1.0 - 1e-9 else (1.0 - self._left) / self.rate

    def take(self) -> None:
        """Count one request that was allowed."""
        self._left -= 1.0

    def is_full(self, now_s: float) -> bool:
        """Whether it is as if nobody had asked."""
        return self._left + (now_s - self._asked_s) * self.rate >= self.most

    def change(self, rate: float) -> None:
        """Allow another rate from now on."""
        self.rate, self.most = rate, max(1.0, rate)
        self._left = min(self._left, self.most)


class Gate:
    """Lets requests of one endpoint in, or says why not.

    Args:
        limits: Of the whole endpoint.
        clock: Seconds, only going forward.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._share = 1.0
        self._all = Bucket(limits.max_rate, clock()) if limits.max_rate else None
        self._by_token: dict[bytes, Bucket] = {}
        self._most_inside = limits.max_concurrency or math.inf
        self._inside = 0

    def share(self, share: float) -> None:
        """Hold this part of the limits, as the other workers hold the rest; 0 changes nothing: nobody comes then."""
        if share <= 0.0 or share == self._share:
            return
        self._share = share
        if self._all is not None and self._limits.max_rate:
            self._all.change(self._limits.max_rate * share)
        for bucket in self._by_token.values():
            bucket.change((self._limits.max_token_rate or 0.0) * share)
        if self._limits.max_concurrency:
            self._most_inside = max(1, math.ceil(self._limits.max_concurrency * share))

    def refusal(self, authorization: bytes | None) -> TooManyRequests | None:
        """Count a request of whoever shows this header; say why it may not come in, None if it may."""
        now_s = self._clock()
        own = self._bucket(authorization, now_s)
        wait_s = self._all.wait_s(now_s) if self._all is not None else 0.0
        if wait_s:
            return _refused("This endpoint is asked more often than its max_rate allows. Try again later.", wait_s)
        if own is not None:
            if wait_s := own.wait_s(now_s):
                return _refused("This token asks more often than the endpoint's max_token_rate allows. Wait.", wait_s)
            own.take()
        if self._all is not None:
            self._all.take()
        return None

    def enter(self) -> None:
        """Count a prediction that begins; `leave` is to be called when it is over.

        Raises:
            TooManyRequests: if as many as are allowed have begun and are not over.
        """
        if self._inside >= self._most_inside:
            raise _refused("This endpoint makes as many predictions at one time as its max_concurrency allows.", 1.0)
        self._inside += 1

    def leave(self) -> None:
        """Count a prediction that is over."""
        self._inside -= 1

    def _bucket(self, authorization: bytes | None, now_s: float) -> Bucket | None:
        rate = (self._limits.max_token_rate or 0.0) * self._share
        if not rate:
            return None
        token = (authorization or b"").partition(b" ")[2].strip()  # however the scheme is written, one token is one
        found = self._by_token.get(token)
        if found is None:
            if len(self._by_token) >= MOST_TOKENS:
                self._forget(now_s)
            found = self._by_token[token] = Bucket(rate, now_s)
        return found

    def _forget(self, now_s: float) -> None:
        """Drop the buckets that are full again: a new one is the same."""
        self._by_token = {token: bucket for token, bucket in self._by_token.items() if not bucket.is_full(now_s)}


def gate_of(limits: Limits) -> Gate | None:
    """Return what holds these limits; None if there are none, so that nothing is asked."""
    return Gate(limits) if any((limits.max_rate, limits.max_token_rate, limits.max_concurrency)) else None


def _refused(message: str, wait_s: float) -> TooManyRequests:
    refusal = TooManyRequests(message)
    refusal.retry_after_s = max(1, math.ceil(wait_s))
    return refusal
