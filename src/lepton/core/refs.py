"""The one address of versioned things: ``name@version``. Parsed here and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lepton.core.errors import InvalidInput

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Ref:
    """A name and, where one version is meant, its number; ``version=None`` means the latest."""

    name: str
    version: int | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}@{self.version}"


def check_name(name: str, noun: str) -> str:
    """Return `name` if it can name a `noun`.

    Raises:
        InvalidInput: if it is not 1 to 64 of a-z, 0-9, dot, dash and underscore, starting with a letter or digit.
    """
    if not _NAME.fullmatch(name):
        article = "an" if noun[0] in "aeio" else "a"  # a user
        raise InvalidInput(
            f"{name[:80]!r} cannot name {article} {noun}. A name has 1 to 64 of a-z, 0-9, '.', '-' and '_', "
            f"and starts with a letter or a digit, for example {name_from(name)!r}."
        )
    return name


def name_from(text: str) -> str:
    """Make a valid name out of any text, such as a file's stem: ``"My Data (2)"`` → ``"my-data-2"``."""
    name = re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._")[:64].rstrip("-._")
    return name or "data"


def parse_ref(text: str, noun: str = "dataset") -> Ref:
    """Parse ``name`` or ``name@version``.

    Raises:
        InvalidInput: if the name or the version is malformed.
    """
    name, at, version = text.partition("@")
    check_name(name, noun)
    if not at:
        return Ref(name)
    if not _VERSION.fullmatch(version):
        raise InvalidInput(
            f"{text[:100]!r} is no version of a {noun}. Versions are whole numbers from 1, for example '{name}@1'; "
            f"'{name}' alone means the latest."
        )
    return Ref(name, int(version))
