"""What a peer is: how it is installed, started, asked and read. The peers themselves are in `peers/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving.cases import Array, Case, Models, Request


class NotMeasured(Exception):
    """A peer or a case that cannot be measured here; the sentence says why and is printed in the table."""


@dataclass(frozen=True)
class Place:
    """Where a peer works during one run of the benchmark.

    Attributes:
        python: The interpreter with its packages.
        folder: Its files of this run.
        port: Where it shall listen, on loopback.
        core: The core that it may use.
        models: The numbers that it serves.
        onnx: The same as ONNX files, by name of the model.
    """

    python: Path
    folder: Path
    port: int
    core: int
    models: Models
    onnx: Mapping[str, Path]

    @property
    def servers(self) -> Path:
        """The scripts that run inside a peer's own environment."""
        return Path(__file__).parent / "peers" / "servers"


def onnx_environment(place: Place) -> dict[str, str]:
    """Return what the scripts in `peers/servers` need to find the models."""
    return {"PYTHONPATH": str(place.servers)} | {f"BENCH_{name.upper()}": str(p) for name, p in place.onnx.items()}


def nothing(_: Place) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Peer:
    """One server.

    Attributes:
        packages: What pip installs into its environment, pinned; empty uses the interpreter of the benchmark.
        formats: Which of `cases.FORMATS` it speaks.
        command: What starts it; it may stay in the foreground or end with 0 once it has started.
        request: Writes the request of a case; raises `NotMeasured` if it does not serve its model.
        read: Reads an answer (head, body) as `Models.answers` would return it.
        prepare: Writes what it serves, before its first start.
        environment: Variables of its process, besides ``PATH`` and ``HOME``.
        quiet: How its access log is off.
        note: What a reader of the table should know.
        port: Where it answers for a model, if it cannot be told.
        also: Process ids that belong to it and do not descend from the command.
        stop: Ends what the command's end leaves behind.
        ready_s: How long its start may take.
    """

    name: str
    packages: tuple[str, ...]
    formats: tuple[str, ...]
    command: Callable[[Place], list[str]]
    request: Callable[[Place, Case, Array], Request]
    read: Callable[[Case, bytes, bytes], Array]
    quiet: str
    note: str = ""
    prepare: Callable[[Place], None] = nothing
    environment: Callable[[Place], Mapping[str, str]] = field(default=lambda _: {})
    port: Callable[[Place, str], int] = field(default=lambda place, _model: place.port)
    also: Callable[[Place], list[int]] = field(default=lambda _: [])
    stop: Callable[[Place], None] = nothing
    ready_s: float = 60.0
