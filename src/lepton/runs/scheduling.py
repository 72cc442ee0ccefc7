"""What may be asked of the queue, and which runs do the same work. Pure."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import asdict

from lepton.core.errors import InvalidInput
from lepton.runs.records import Quota, Scheduling

MAX_WORKERS = 64
MAX_PRIORITY = 100
MAX_RETRIES = 100
MAX_AFTER = 100


def check(workers: int, scheduling: Scheduling) -> None:
    """Refuse what cannot be meant.

    Raises:
        InvalidInput: if a part is out of range.
    """
    asked = scheduling.resources
    for name, value, low, high in (
        ("workers", workers, 1, MAX_WORKERS),
        ("cpus", asked.cpus, 0.01, 4096),
        ("memory_mb", asked.memory_mb, 0, 1 << 30),
        ("gpus", asked.gpus, 0, 1024),
        ("priority", scheduling.priority, -MAX_PRIORITY, MAX_PRIORITY),
        ("retries", scheduling.retries, 0, MAX_RETRIES),
        ("after", len(scheduling.after), 0, MAX_AFTER),
    ):
        if not low <= value <= high:
            raise InvalidInput(f"A run can have {low:g} to {high:g} {name}, not {value:g}. Ask for one of these.")
    if scheduling.timeout_s is not None and not 0 < scheduling.timeout_s < math.inf:
        raise InvalidInput(
            f"A run may take more than 0 s, not {scheduling.timeout_s:g}. Leave it out for as long as it takes."
        )
    if scheduling.key is not None and not re.fullmatch(r"[\w.:@/+-]{1,128}", scheduling.key):
        raise InvalidInput("A key is 1 to 128 of letters, digits and . : @ / + - _, such as 'nightly-2026-11-26'.")


def check_quota(quota: Quota) -> None:
    """Refuse a quota that cannot be meant.

    Raises:
        InvalidInput: if a part of it is negative, or not a number.
    """
    for name, value in asdict(quota).items():
        if value is not None and not 0 <= value < math.inf:
            raise InvalidInput(
                f"The quota of {name} is 0 or more, not {value:g}. Leave it out for as much as there is."
            )


def fingerprint(reuse: str, before: Sequence[str | None]) -> str | None:
    """Return what is the same for runs that do the same work, or None for one that is always to run.

    Args:
        reuse: What names the code and the inputs of a run; empty: always run.
        before: The fingerprints of the runs that it starts after; with one that has none, what it reads may differ.
    """
    if not reuse or None in before:
        return None
    return hashlib.sha256("\n".join([reuse, *(str(one) for one in before)]).encode()).hexdigest()
