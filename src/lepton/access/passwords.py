"""Passwords: argon2id with the parameters of OWASP's cheat sheet (19 MiB, two passes, one lane).

Source: OWASP Password Storage Cheat Sheet, RFC 9106.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

from lepton.core.errors import InvalidInput

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST = 10
LONGEST = 256
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$fJSaj9bf8XguxPTQ8yjaSw$/V0NKHeYYiQokL5yC0zFFr4Bt9eOAr8Qzxb8t+hvps0"
_at_once = threading.BoundedSemaphore(2)  # each check takes 19 MiB and 60 ms of a core


def hash_password(password: str) -> str:
    """Hash a password for keeping.

    Raises:
        InvalidInput: if it is too short or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(f"A password has {SHORTEST} to {LONGEST} characters. Choose a longer or shorter one.")
    with _at_once:
        return _hasher().hash(password)


def check_password(kept: str | None, password: str) -> bool:
    """Whether a password is the one that was hashed. Works as long for a user who has none, or does not exist."""
    from argon2.exceptions import Argon2Error, InvalidHashError

    if len(password) > LONGEST:
        return False
    with _at_once:
        try:
            return _hasher().verify(_NOBODY if kept is None else kept, password) and kept is not None
        except (Argon2Error, InvalidHashError):
            return False


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
