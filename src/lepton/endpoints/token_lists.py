"""Keeps replicas told who may predict: signs the list of a project's tokens and sends it when it is new or old."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from lepton.access.records import Holder
from lepton.core.clock import Clock
from lepton.core.errors import NotFound, Unavailable
from lepton.endpoints.records import ReplicaProcess
from lepton.endpoints.replica import tokens
from lepton.endpoints.replica.control import Control
from lepton.runs.engines.processes import ProcessMark
from lepton.store.keys import Keyring

TOKEN_KEY = "endpoints/tokens"  # noqa: S105 - the name of a key
RENEW_S = 60.0
"""An unchanged list is signed anew this often: it counts for a day from then on."""


class TokenLists:
    """Remembers which replica was told of which tokens."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock
        self._told: dict[ProcessMark, tuple[tuple[Holder, ...], float]] = {}

    def public_key(self, project: str) -> bytes:
        """What a replica proves the lists of a project with."""
        return tokens.public_key(self._seed(project))

    def tell(self, project: str, replica: ReplicaProcess, control: Control, holders: Sequence[Holder]) -> None:
        """Send a replica the list of who may predict, unless it has the same and that is fresh."""
        holders, now_s = tuple(holders), time.monotonic()
        known, told_s = self._told.get(replica.mark, ((), 0.0))
        if known == holders and told_s and now_s - told_s < RENEW_S:
            return
        ends = [(h, h.expires_at.timestamp() if h.expires_at else None) for h in holders]
        listed = tokens.TokenList(
            project=project,
            issued_at=self._clock().timestamp(),
            allowed={holder.digest: end for holder, end in ends if holder.may},
            refused={holder.digest: end for holder, end in ends if not holder.may},
        )
        with suppress(Unavailable):  # the next look tries again
            control.tokens(tokens.sign(self._seed(project), listed))
            self._told = {mark: told for mark, told in self._told.items() if mark.is_alive()}
            self._told[replica.mark] = (holders, now_s)

    def _seed(self, project: str) -> bytes:
        """The private key that signs a project's lists."""
        try:
            return self._keyring.get(project, TOKEN_KEY)
        except NotFound:
            self._keyring.create(project, TOKEN_KEY)
            return self._keyring.get(project, TOKEN_KEY)
