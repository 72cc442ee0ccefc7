"""Questions and answers between two processes on two machines: a line of JSON each way, over TLS (see `tls`)."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from lepton.core import lines

CALLER = "LEPTON_CALLER"
"""Environment variable of a process that is started to be spoken to: the certificate of who may."""
PATIENCE_S = 30.0
"""How long the other side may keep silent within a conversation."""
MOST_LINE_BYTES = 64 << 20
_SILENT = "The other machine does not answer."


@dataclass(frozen=True)
class Hello:
    """What a process says on its log when it can be spoken to.

    Attributes:
        kind: What it is.
        address: Of its machine, where others reach it.
        port: TCP port.
        certificate: PEM; what it proves itself with.
        version: Of its Lepton.
    """

    kind: str
    address: str
    port: int
    certificate: str
    version: str

    def to_line(self) -> str:
        """Return one line."""
        return json.dumps({"lepton": self.__dict__})

    @classmethod
    def from_line(cls, line: str, kind: str) -> Hello | None:
        """Read what `to_line` wrote for this kind; None for any other line."""
        if not line.startswith('{"lepton"'):
            return None
        try:
            found = cls(**json.loads(line)["lepton"])
        except (ValueError, KeyError, TypeError):
            return None
        return found if found.kind == kind else None


@contextmanager
def dial(hello: Hello, context: ssl.SSLContext, timeout_s: float) -> Iterator[socket.socket]:
    """Connect to a process; raises OSError, of which errors of TLS are some."""
    with (
        socket.create_connection((hello.address, hello.port), timeout_s) as plain,
        context.wrap_socket(plain) as connection,
    ):
        yield connection


def ask(hello: Hello, context: ssl.SSLContext, verb: str, body: object, *, timeout_s: float = PATIENCE_S) -> Any:
    """Ask once and return the body of the answer.

    Raises:
        Unavailable: if there is none in time.
        LeptonError: the error that the other side answered with.
    """
    question = {"verb": verb, "body": body}
    return lines.exchange(lambda wait_s: dial(hello, context, wait_s), question, timeout_s=timeout_s, silent=_SILENT)


def serve(listener: socket.socket, context: ssl.SSLContext, answer: Callable[[str, Any], Any]) -> None:
    """Answer whoever connects and is known, each in a thread of its own; returns at once.

    Args:
        listener: Where.
        context: Knows who may ask.
        answer: Takes a verb and a body; a `LeptonError` that it raises is passed on.
    """

    def accept() -> None:
        while listener.fileno() >= 0:
            with suppress(OSError):
                connection, _ = listener.accept()
                threading.Thread(target=_talk, args=(connection, context, answer), daemon=True).start()

    threading.Thread(target=accept, name="conversations", daemon=True).start()


def _talk(plain: socket.socket, context: ssl.SSLContext, answer: Callable[[str, Any], Any]) -> None:
    plain.settimeout(PATIENCE_S)
    with (
        plain,
        suppress(OSError),  # and everything of TLS, which is one
        context.wrap_socket(plain, server_side=True) as connection,
        connection.makefile("rb") as questions,
    ):
        while (line := questions.readline(MOST_LINE_BYTES)).endswith(b"\n"):
            connection.sendall(lines.answered(line, lambda asked: answer(asked["verb"], asked["body"])))
