"""What a run was made with: version and changes of the code, Python and packages, the command line without secrets."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

MAX_DIFF = 1 << 20
_SECRET = re.compile(r"(token|passw|secret|api[-_]?key|credential|auth)", re.IGNORECASE)
_LOOKS_SECRET = re.compile(r"lp[tsc]_|[A-Za-z0-9+/_-]{32,}$|\w+://[^/@\s]+:[^/@\s]+@")


@dataclass(frozen=True)
class Surroundings:
    """Words and files about where a run was made."""

    tags: Mapping[str, str]
    files: Mapping[str, bytes]


def surroundings(folder: Path) -> Surroundings:
    """Look around: in the repository that a folder is in, and in this interpreter."""
    tags = {"python": platform.python_version(), "system": platform.platform(), "command": command(sys.orig_argv)}
    files = {"environment.txt": "\n".join(packages()).encode() + b"\n"}
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is not None:
        tags["git.commit"] = commit.decode().strip()
        branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD") or b""
        tags["git.branch"] = branch.decode(errors="replace").strip()
        diff = _git(folder, "diff", "HEAD", "--no-color", "--no-ext-diff") or b""
        tags["git.dirty"] = "true" if diff else "false"
        if diff:
            cut = b"\n(cut off here)\n" if len(diff) > MAX_DIFF else b""
            files["code.diff"] = diff[:MAX_DIFF] + cut
    return Surroundings(tags, files)


def command(arguments: Sequence[str]) -> str:
    """Write a command line without what looks like a secret."""
    written, hide = [], False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if hide and not argument.startswith("-"):
            written.append("***")
        elif equals and _SECRET.search(name):
            written.append(f"{name}=***")
        elif _LOOKS_SECRET.search(argument) and "/" not in argument.strip("/").partition("://")[0]:
            written.append("***")
        else:
            written.append(argument)
        hide = argument.startswith("-") and not equals and bool(_SECRET.search(argument))
    return " ".join(written)[:8000]


def packages() -> list[str]:
    """List what is installed, as ``pip freeze`` would."""
    found = {f"{d.name}=={d.version}" for d in metadata.distributions() if d.name}
    return sorted(found, key=str.lower)


def _git(folder: Path, *arguments: str) -> bytes | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603
            [program, *arguments], cwd=folder, capture_output=True, check=False, timeout=20, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
