"""The load generator `load.c` from Python: compile it, drive it, read its samples."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from benchmarks.serving.peer import NotMeasured

HERE = Path(__file__).parent


class NoCompiler(NotMeasured):
    """There is no C compiler, and the load must cost less than any server."""


def compile_c(name: str, folder: Path) -> Path:
    """Compile one of the C programs here.

    Raises:
        NoCompiler: if there is none.
    """
    compiler = next((found for word in ("cc", "gcc", "clang") if (found := shutil.which(word))), None)
    if compiler is None:
        raise NoCompiler("The benchmark needs a C compiler (cc, gcc or clang). Debian: apt install gcc libc6-dev")
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    subprocess.run([compiler, "-O2", "-Wall", "-o", program, HERE / f"{name}.c", "-lm"], check=True)
    return program


@dataclass(frozen=True)
class Sample:
    """One answer as it came: to which request, head and body."""

    request: int
    head: bytes
    body: bytes


@dataclass(frozen=True)
class Result:
    """What the generator saw in one window; times in nanoseconds, of the open loop from when a request was due."""

    answered: int
    unanswered: int
    errors: int
    wrong_status: int
    last_status: int
    surplus: int
    reconnects: int
    seconds: float
    load_cpu_s: float
    bytes_in: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int
    mean_ns: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds

    @property
    def load_share(self) -> float:
        """Share of its core that the generator used."""
        return self.load_cpu_s / self.seconds


class Load:
    """A running generator. ``with Load(...) as load: load.warm(0.2); load.go()``."""

    def __init__(
        self,
        program: Path,
        requests: Sequence[bytes],
        *,
        port: int,
        connections: int,
        seconds: float,
        rate: float = 0.0,
        patience_s: float = 10.0,
    ) -> None:
        folder = program.parent
        written = folder / "requests"
        written.write_bytes(b"".join(struct.pack("<I", len(request)) + request for request in requests))
        self._samples = folder / "samples"
        arguments = [port, connections, seconds, rate, patience_s, written, self._samples]
        self._process = subprocess.Popen(
            [str(program), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def warm(self, seconds: float) -> Result:
        """Ask as fast as it goes, unmeasured."""
        return self._say(f"warm {seconds}")

    def go(self) -> Result:
        """Run the window; nothing is in flight before and after it."""
        return self._say("go")

    def samples(self) -> Iterator[Sample]:
        """Read the answers that were kept."""
        data, at = self._samples.read_bytes(), 0
        while at < len(data):
            request, head, body = struct.unpack_from("<III", data, at)
            at += 12
            answer = Sample(request, data[at : at + head], data[at + head : at + head + body])
            chunked = b"transfer-encoding: chunked" in answer.head.lower()
            yield replace(answer, body=_joined(answer.body)) if chunked else answer
            at += head + body

    def _say(self, line: str) -> Result:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._process.wait(timeout=10)
            assert self._process.stderr is not None
            raise NotMeasured(f"the load generator ended: {self._process.stderr.read().strip()}")
        return Result(**json.loads(answer))

    def __enter__(self) -> Load:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._process.terminate()
        self._process.wait(timeout=10)


def _joined(chunks: bytes) -> bytes:
    parts, at = [], 0
    while size := int(chunks[at : (end := chunks.index(b"\r\n", at))], 16):
        parts.append(chunks[end + 2 : end + 2 + size])
        at = end + 4 + size
    return b"".join(parts)
