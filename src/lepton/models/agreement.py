"""Workers that fail together: what goes wrong on one is raised on all, so that none waits for the others in vain."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from lepton.core.errors import Internal, LeptonError, error_from_code
from lepton.runs.context import Collective

T = TypeVar("T")


def agree(collective: Collective, work: Callable[[], T]) -> T:
    """Do `work` on every worker; if it fails on one, all raise what the first of them raised."""
    failure: Exception | None = None
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 - raised again below, once the others know
        failure = error
    told = b""
    if failure is not None:
        hidden = Internal("Internal error on a worker; where it happened is in the log of this run.")
        public = failure if isinstance(failure, LeptonError) else hidden
        told = json.dumps([public.code, public.message]).encode()
    everyone = collective.gather(told)
    verdict = collective.broadcast(None if everyone is None else next(filter(None, everyone), b""))
    if failure is not None:
        raise failure
    if verdict:
        raise error_from_code(*json.loads(verdict))
    return result
