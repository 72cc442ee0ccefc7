"""One worker: loads the models it is told of, accepts on the sockets it is handed, reports its load, drains.

``python -m lepton.endpoints.replica.worker <descriptor>`` with one end of a link. This file speaks with the
supervisor; what is said to clients is `serving`.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Sequence
from itertools import count

import uvloop

from lepton.core.errors import LeptonError
from lepton.endpoints.replica.link import Closed, Drain, Failed, Link, Listen, Message, Ready, SignedTokens, Start, Told
from lepton.endpoints.replica.serving import Serving
from lepton.endpoints.replica.workers import GRACE_S

REPORT_EVERY_S = 0.5


class Worker:
    """Carries out what the supervisor says, until told to end."""

    def __init__(self, link: Link, serving: Serving, early: Sequence[Message] = ()) -> None:
        self._link = link
        self._early = early
        self._serving = serving
        self._sockets: dict[int, socket.socket] = {}
        self._ending = asyncio.Event()
        self._drain = Drain(GRACE_S, 0.0)

    async def run(self) -> None:
        """Serve until the supervisor says otherwise, or is gone."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._link.fileno(), self._hear)
        loop.add_signal_handler(signal.SIGTERM, self._ending.set)
        reports = loop.create_task(self._report())
        self._link.send(Ready())
        self._carry_out(self._early)
        await self._ending.wait()
        self._serving.listen({})
        for listener in self._sockets.values():
            listener.close()  # when nobody else has it, who comes now is refused instead of waiting for nothing
        self._link.send(Closed())
        await self._serving.drain(self._drain.grace_s, self._drain.linger_s)
        reports.cancel()
        self._serving.count()
        self._link.send(self._serving.load())
        self._link.send(Told(self._serving.told()))

    def _hear(self) -> None:
        messages = self._link.receive()
        if messages is None:
            asyncio.get_running_loop().remove_reader(self._link.fileno())
            self._ending.set()
        self._carry_out(messages or ())

    def _carry_out(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, Listen):
                for number, fd in zip(message.attached, self._link.take_fds(len(message.attached)), strict=True):
                    self._sockets[number] = socket.socket(fileno=fd)
                self._serving.share(message.share)
                self._serving.listen({number: self._sockets[number] for number in message.sockets})
            elif isinstance(message, SignedTokens):
                self._serving.tokens(message.document)
            elif isinstance(message, Drain):
                self._drain = message
                self._ending.set()

    async def _report(self) -> None:
        for turn in count():
            await asyncio.sleep(REPORT_EVERY_S)
            self._serving.count()
            self._link.send(self._serving.load())
            if turn % 2:
                self._link.send(Told(self._serving.told()))


def main() -> int:
    """Serve what the supervisor at the other end of the link asks for."""
    link = Link(socket.socket(fileno=int(sys.argv[1])))
    messages = link.wait()
    if not messages:
        return 1
    start, *early = messages
    if not isinstance(start, Start):
        return 1

    async def serve() -> int:
        try:
            serving = Serving(start)
            await serving.open_grpc(start)
        except LeptonError as error:
            link.send(Failed(error.message))
            return 1
        except Exception as error:  # noqa: BLE001 - an edge: the supervisor needs a sentence, whatever happened
            link.send(Failed(f"The model could not be loaded ({type(error).__name__})."))
            return 1
        # What is there now stays: looking through it again would make every request wait.
        gc.collect()
        gc.freeze()
        await Worker(link, serving, early).run()
        return 0

    return uvloop.run(serve())


if __name__ == "__main__":
    sys.exit(main())
