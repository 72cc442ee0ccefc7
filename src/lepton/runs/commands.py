"""What a user wants to have run: a command over a folder of files. Pure: no catalog, no clock, no processes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from lepton.core.errors import InvalidInput
from lepton.runs.records import AS_USUAL, Arguments, Param, Resources, Scheduling

COMMAND = "runs.submit"
"""The task of such a run; no worker of the platform has it, as it is the user's own code."""
OURS: Mapping[str, tuple[str, ...]] = {
    "models.train": ("python", "-m", "lepton.trainer"),
    "models.tune": ("python", "-m", "lepton.tuner"),
}
"""The commands that the platform itself writes, by the verb that asks for them."""
ENVIRONMENT_FILES = ("requirements.txt", "uv.lock", "pyproject.toml")
MIN_SECRET = 6
"""Shorter ones could not be kept out of a log without making it unreadable."""
MAX_SECRETS, MAX_OUTPUTS, MAX_ARGUMENTS = 64, 64, 1000
_MAX_TEXT = 65536
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_RESERVED = ("LEPTON_", "LD_", "PYTHON")
_TORCHRUN = frozenset({"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})
_SET_BY_US = _TORCHRUN | {"PATH", "HOME", "TMPDIR"}


@dataclass(frozen=True)
class Submission:
    """What is submitted beside the folder.

    Attributes:
        command: What is to be run.
        name: What people call it.
        params: Settings to show with it.
        key: Of two submissions of a user with the same key, the second is the first.
        scheduling: How it is queued; its key and its resources are those of the submission and the command.
        reuse: Whether the results of a run with the same command, settings and folder are taken, if there is one.
        like: Id of the run whose folder is taken; empty: one comes along.
        inputs: Refs it reads, such as ``dataset:cancer@1``, where that is known.
    """

    command: Command
    name: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)
    key: str | None = None
    scheduling: Scheduling = AS_USUAL
    reuse: bool = False
    like: str = ""
    inputs: tuple[str, ...] = ()


def verb_of(task: str, params: Mapping[str, Param]) -> str:
    """Return the verb that asked for a run: that of its task, but for commands that the platform has written itself."""
    known = {shlex.join(argv): verb for verb, argv in OURS.items()}
    return known.get(str(params.get("command")), task) if task == COMMAND else task


@dataclass(frozen=True)
class Command:
    """A command of a user.

    Attributes:
        argv: Program and arguments, each worker's.
        workers: Number of worker processes.
        resources: What each worker gets, and is kept to.
        timeout_s: How long the command may take; 0: as long as it likes.
        hang_timeout_s: How long it may do nothing before it counts as hung; 0: as long as it likes.
        environment: A file of the folder that says which packages it needs; None: those of the platform.
        outputs: Patterns of files in the folder to keep, beside all that is written into ``$LEPTON_OUTPUTS``.
        secrets: Environment variables that are nobody else's business.
        bundle: Id of the stored folder.
    """

    argv: tuple[str, ...]
    workers: int = 1
    resources: Resources = field(default_factory=Resources)
    timeout_s: int = 0
    hang_timeout_s: int = 0
    environment: str | None = None
    outputs: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    bundle: str = ""

    @property
    def text(self) -> str:
        """The command as one would type it."""
        return shlex.join(self.argv)

    def check(self) -> None:
        """Refuse what cannot be run.

        Raises:
            InvalidInput: saying what is wrong.
        """
        if not self.argv or not self.argv[0] or len(self.argv) > MAX_ARGUMENTS or "\0" in "".join(self.argv):
            raise InvalidInput("A command is a program and its arguments, for example: python train.py --epochs 3")
        if not 0 < self.resources.cpus <= 4096 or not 0 <= self.resources.memory_mb <= 1 << 24:
            raise InvalidInput("A worker can have more than 0 to 4096 processors, and up to 16 TB of memory.")
        if not 0 <= self.resources.gpus <= 64 or not 0 <= self.timeout_s <= 366 * 86400:
            raise InvalidInput("A worker can have 0 to 64 GPUs, and take up to a year. Ask for less.")
        if self.hang_timeout_s and not 5 <= self.hang_timeout_s <= 366 * 86400:
            raise InvalidInput("The time after which a worker counts as hung is 5 seconds to a year; 0: never.")
        if self.environment is not None:
            _check_inside(self.environment, "The environment")
            if PurePosixPath(self.environment).name not in ENVIRONMENT_FILES and not self.environment.endswith(".txt"):
                raise InvalidInput(
                    "The environment is a requirements.txt (or another .txt), uv.lock or pyproject.toml in the folder."
                )
        if len(self.outputs) > MAX_OUTPUTS or len(self.secrets) > MAX_SECRETS:
            raise InvalidInput(f"A run can have at most {MAX_OUTPUTS} output patterns and {MAX_SECRETS} secrets.")
        for pattern in self.outputs:
            _check_inside(pattern, "An output pattern")
        for name, value in self.secrets.items():
            _check_secret(name, value)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object, with its secrets: only ever kept sealed."""
        return {**asdict(self), "secrets": dict(self.secrets)}

    @classmethod
    def from_json(cls, values: Arguments) -> Command:
        """Read what `to_json` wrote."""
        known = {
            "argv": tuple(values["argv"]),
            "outputs": tuple(values["outputs"]),
            "resources": Resources(**values["resources"]),
        }
        return cls(**{**values, **known})


def _check_inside(path: str, what: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or len(path) > 512 or "\0" in path:
        raise InvalidInput(f"{what} must be inside the folder: no '..', and no path from the root.")


def _check_secret(name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or name.startswith(_RESERVED) or name in _SET_BY_US:
        raise InvalidInput(
            f"{name[:64]!r} cannot be the name of a secret: it is an environment variable of letters, digits and '_' "
            "that neither Lepton nor torchrun sets itself."
        )
    if not MIN_SECRET <= len(value) <= _MAX_TEXT or "\0" in value:
        raise InvalidInput(
            f"The secret {name} must have {MIN_SECRET} to {_MAX_TEXT:,} characters: a shorter one could not be kept "
            "out of the log."
        )
