"""A replica on another machine: ``python -m lepton.endpoints.balanced.node``, started by an engine.

It says in its log where it is, takes the encrypted model and what to answer for from the balanced endpoint alone, and
keeps an ordinary replica: the same supervisor and workers as on the platform's own machine. Nothing of it stays here
when it ends: keys are never in a file, and the model's file is encrypted.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lepton import __version__
from lepton.core.conversation import CALLER, Hello, serve
from lepton.core.errors import Conflict, Internal, InvalidInput, LeptonError
from lepton.core.tls import Identity
from lepton.endpoints import processes
from lepton.endpoints.balanced.wire import KIND, blob_name, receive_blob
from lepton.endpoints.records import ReplicaProcess
from lepton.endpoints.replica.config import ReplicaConfig
from lepton.endpoints.replica.control import Control
from lepton.endpoints.replica.supervisor import prepare
from lepton.runs.engines.port import NODE_ADDRESS

_LOOK_EVERY_S = 0.5
LEFT_ALONE_S = 26 * 3600.0
"""Nobody steered it for so long: its lists of tokens have ended hours ago, so it answers nobody and may go."""


class Node:
    """Keeps one replica on this machine.

    Args:
        folder: Private, for as long as this lives.
        address: Of this machine, where others reach it.
        identity: What it proves itself with.
    """

    def __init__(self, folder: Path, address: str, identity: Identity) -> None:
        self._folder = folder
        self._address = address
        self._secret = secrets.token_hex(32)
        self._replica: ReplicaProcess | None = None
        self._deployed: set[str] = set()
        self._tls = (folder / "certificate.pem", folder / "key.pem")
        self._tls[0].write_text(identity.certificate)
        self._tls[1].write_text(identity.key)

    @property
    def lives(self) -> bool:
        """Whether the replica runs, or none was asked for yet."""
        return self._replica is None or processes.alive(self._replica)

    def answer(self, verb: str, body: Any) -> Any:
        """Do what the balanced endpoint asks."""
        if verb == "blobs":
            return [path.stem for path in self._folder.glob("*.blob")]
        if verb == "blob":
            return receive_blob(self._folder, body)
        if verb == "status" and self._replica is None:
            return None
        if verb == "deploy":
            return self._deploy(ReplicaConfig.from_values(body))
        return self._control.exchange(verb, body)

    def stop(self) -> None:
        """Let the replica finish what it is answering."""
        if self._replica is not None:
            processes.stop(self._replica)

    @property
    def _control(self) -> Control:
        if self._replica is None:
            raise Conflict("The replica was not told yet what to answer for.")
        return Control.at(self._folder / "control", self._secret)

    def _deploy(self, config: ReplicaConfig) -> Any:
        here = self._localized(config)
        if self._replica is None:
            self._replica = processes.start(here, dies_with_us=True)
            found = self._control.exchange("status", None)
        else:
            found = self._control.exchange("deploy", json.loads(here.to_json()))
        self._forget_all_but({one.blob_id for one in here.deployments})
        return found

    def _localized(self, config: ReplicaConfig) -> ReplicaConfig:
        path = {one.blob_id: self._folder / blob_name(one.blob_id) for one in config.deployments}
        return replace(
            config,
            deployments=tuple(replace(one, blob_path=str(path[one.blob_id])) for one in config.deployments),
            host=self._address,
            port=0 if self._replica is None else self._replica.port,
            control_path=str(self._folder / "control"),
            control_secret=self._secret,
            tls=tuple(map(str, self._tls)),
            engine="",
        )

    def _forget_all_but(self, blob_ids: set[str]) -> None:
        kept, self._deployed = self._deployed | blob_ids, blob_ids  # workers of the one before may still restart
        for path in self._folder.glob("*.blob"):
            if path.stem not in kept:
                path.unlink()


Asked = queue.Queue[tuple[str, Any, Future[Any]]]


def main() -> int:
    """Keep a replica until SIGTERM, or until it ends by itself."""
    prepare()
    caller, address = os.environ.pop(CALLER), os.environ[NODE_ADDRESS]
    told_to_end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told_to_end.set())
    folder = Path(tempfile.mkdtemp(prefix="lepton-replica-"))
    try:
        identity = Identity.new()
        node = Node(folder, address, identity)
        with socket.create_server((address, 0)) as listener:
            asked: Asked = queue.Queue()
            serve(listener, identity.server(caller), lambda verb, body: _handed_over(asked, verb, body))
            hello = Hello(KIND, address, listener.getsockname()[1], identity.certificate, __version__)
            sys.stdout.write(hello.to_line() + "\n")
            sys.stdout.flush()
            spoken_to_s = time.monotonic()
            while not told_to_end.is_set() and node.lives and time.monotonic() - spoken_to_s < LEFT_ALONE_S:
                with suppress(queue.Empty):
                    _do_next(asked, node)
                    spoken_to_s = time.monotonic()
        node.stop()
        return 0 if told_to_end.is_set() else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _handed_over(asked: Asked, verb: str, body: Any) -> Any:
    """Have it done in the main thread: the kernel ends a process with the thread that started it."""
    done: Future[Any] = Future()
    asked.put((verb, body, done))
    return done.result()


def _do_next(asked: Asked, node: Node) -> None:
    verb, body, done = asked.get(timeout=_LOOK_EVERY_S)
    try:
        done.set_result(node.answer(verb, body))
    except LeptonError as error:
        done.set_exception(error)
    except (ValueError, KeyError, TypeError):
        done.set_exception(InvalidInput("The replica does not understand this."))
    except OSError as error:
        done.set_exception(Internal(f"The replica's machine cannot do that ({type(error).__name__})."))


if __name__ == "__main__":
    sys.exit(main())
