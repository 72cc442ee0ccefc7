"""One replica of a balanced endpoint: started on some machine, told what to answer for, started anew when it is lost.

A thread of its own for each, as machines answer slowly and one by one; what it finds out is a `Standing`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lepton import __version__
from lepton.core.conversation import CALLER, Hello
from lepton.core.errors import LeptonError, Unavailable
from lepton.core.ids import new_id
from lepton.endpoints.balanced.state import State
from lepton.endpoints.balanced.wire import KIND, control_of, send_blob
from lepton.endpoints.replica.config import ReplicaConfig
from lepton.endpoints.replica.control import Control, ReplicaStatus, Words
from lepton.endpoints.restarts import RestartDelays
from lepton.runs.engines.port import Engine, EnginePhase, EngineSpec

LOOK_EVERY_S = 0.5
SOON_S = 0.05
HEAR_EVERY_S = 0.9
"""Workers tell once a second."""
SILENT_S = 10.0
"""A replica that its engine says runs, and that does not answer for so long, is replaced."""
NO_ROOM = "No machine has room for this replica yet. Add one, or ask for fewer replicas."
_OTHER_VERSION = "The machine {} has Lepton {}. Install {} there, which is the platform's version."
_ENDED = "The replica on {} ended by itself and is started again."


@dataclass(frozen=True)
class Standing:
    """How one replica stands.

    Attributes:
        run_id: What the engine knows it by; empty before the first start.
        hello: Where it is; None before it has said so.
        status: What it said last; None if it has nothing to answer for yet, or is lost.
        silent: Whether it did not answer the last time.
        message: Why there is none, in a public sentence.
        since_s: When it was started.
        over: Whether it was told to stop, and has.
    """

    run_id: str = ""
    hello: Hello | None = None
    status: ReplicaStatus | None = None
    silent: bool = False
    message: str = ""
    since_s: float = 0.0
    over: bool = False


class Place:
    """Keeps one replica.

    Args:
        slot: Its number among the replicas of the endpoint.
        engine: Starts it.
        state: Remembers which runs are ours.
        apart: The word under which the replicas of one endpoint are kept on different machines.
        changed: Called when its standing is another.
    """

    def __init__(self, slot: int, *, engine: Engine, state: State, apart: str, changed: Callable[[], None]) -> None:
        self.slot = slot
        self.standing = Standing(run_id=state.run_of(slot))
        self._engine = engine
        self._state = state
        self._apart = apart
        self._changed = changed
        self._wanted: ReplicaConfig | None = None
        self._document = self._told_document = ""
        self._alive: dict[str, str] = {}
        self._ended: dict[str, str] = {}
        self._lock = threading.Lock()
        self._heard_s = 0.0
        self._next = new_id()
        self._seen = 0
        self._spoke_s = 0.0
        self._restarts = RestartDelays()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"replica {slot}", daemon=True)
        self._thread.start()

    def want(self, config: ReplicaConfig, document: str) -> None:
        """Answer for this, and let these tokens predict; returns at once."""
        if config != self._wanted or document != self._document:
            self._wanted, self._document = config, document
            self._wake.set()

    def stop(self) -> None:
        """End the replica; returns at once."""
        self._stopping.set()
        self._wake.set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            if self._wanted is not None:
                self._look(self._wanted)
            self._wake.wait(LOOK_EVERY_S)
        run_id = self.standing.run_id
        while run_id and self._phase(run_id) is EnginePhase.RUNNING:
            with suppress(LeptonError):
                self._engine.cancel(run_id)
            time.sleep(SOON_S)
        self._state.forget(self.slot)
        self._set(over=True, status=None)

    def _look(self, wanted: ReplicaConfig) -> None:
        try:
            if not self.standing.run_id:
                self._start()
            elif self.standing.hello is None:
                self._listen_for_hello()
            else:
                self._talk(self.standing.hello, wanted)
        except LeptonError as error:
            self._set(message=error.message)
            self._mourn()
        except OSError as error:  # the model's file
            self._set(message=f"The model cannot be read ({type(error).__name__}).")

    def _start(self) -> None:
        now_s = time.monotonic()
        if not self._restarts.due("", now_s):
            return
        self._restarts.note("", now_s)
        run_id = self._next  # the same again if the engine does not say that it took it
        self._state.remember(self.slot, run_id)
        self._seen, self._told_document = 0, ""
        argv = self._state.command
        environment = {CALLER: self._state.identity.certificate} | self._state.environment
        self._engine.submit(EngineSpec(run_id, 1, argv, environment, self._state.log_key, apart=self._apart))
        self._next = new_id()
        self._set(run_id=run_id, hello=None, status=None, silent=False, since_s=time.monotonic())
        self._wake.set()

    def _listen_for_hello(self) -> None:
        run_id = self.standing.run_id
        for line in self._engine.logs(run_id, self._state.log_key, after=self._seen):
            self._seen = line.seq
            hello = Hello.from_line(line.text, KIND)
            if hello is not None and hello.version != __version__:
                raise Unavailable(_OTHER_VERSION.format(hello.address, hello.version, __version__))
            if hello is not None:
                self._spoke_s = time.monotonic()
                self._set(hello=hello)
                self._wake.set()
                return
        self._mourn()
        if time.monotonic() - self.standing.since_s > SILENT_S:
            self._set(message=self.standing.message or NO_ROOM)
        else:
            self._again_soon()

    def _talk(self, hello: Hello, wanted: ReplicaConfig) -> None:
        control = control_of(hello, self._state.identity)
        try:
            values = control.exchange("status", None)
            seen = None if values is None else ReplicaStatus.from_values(values)
            if seen is None or seen.told != wanted.generation:
                self._send_models(control, wanted)
                seen = control.deploy(wanted)
            elif (seen.min, seen.max) != (wanted.workers.min, wanted.workers.max):
                seen = control.scale(replace(wanted.workers, replicas=1))
            if self._document != self._told_document:
                document = self._document
                seen = control.tokens(document)
                self._told_document = document
        except Unavailable:
            self._set(silent=True)
            self._mourn()
            if time.monotonic() - self._spoke_s > SILENT_S:
                self._give_up(_ENDED.format(hello.address))
            return
        self._spoke_s = time.monotonic()
        self._set(status=seen, silent=False, message="")
        self._hear(control)
        if seen.coming:
            self._again_soon()

    def _hear(self, control: Control) -> None:
        """Keep what the workers tell, for whoever asks."""
        now_s = time.monotonic()
        if now_s - self._heard_s < HEAR_EVERY_S:
            return
        self._heard_s = now_s
        with suppress(Unavailable):
            words = control.watch()
            with self._lock:
                self._alive = dict(words.alive)
                self._ended |= words.ended

    def words(self) -> Words:
        """Hand over what workers tell; what ended ones told is given out once."""
        with self._lock:
            ended, self._ended = self._ended, {}
            return Words(dict(self._alive), ended)

    def _send_models(self, control: Control, wanted: ReplicaConfig) -> None:
        there = set(control.exchange("blobs", None))
        for one in wanted.deployments:
            if one.blob_id not in there:
                send_blob(control, one.blob_id, Path(one.blob_path))
                there.add(one.blob_id)

    def _mourn(self) -> None:
        """Begin anew if the engine says that the replica has ended."""
        run_id = self.standing.run_id
        if run_id and self._phase(run_id) is not EnginePhase.RUNNING:
            hello = self.standing.hello
            where = "its machine" if hello is None else hello.address
            self._lost(self.standing.message or _ENDED.format(where))

    def _give_up(self, message: str) -> None:
        run_id = self.standing.run_id
        with suppress(LeptonError):
            self._engine.cancel(run_id)
        self._lost(message)

    def _lost(self, message: str) -> None:
        with self._lock:  # what its workers had told is all that will ever be known of them
            self._ended |= self._alive
            self._alive = {}
        self._set(run_id="", hello=None, status=None, silent=False, message=message)

    def _phase(self, run_id: str) -> EnginePhase:
        try:
            status = self._engine.status(run_id)
            return EnginePhase.LOST if math.isinf(status.waits_s) else status.phase  # it will never have a place
        except LeptonError:
            return EnginePhase.RUNNING  # nobody knows better

    def _set(self, **values: object) -> None:
        standing = replace(self.standing, **values)  # type: ignore[arg-type]
        if standing != self.standing:
            self.standing = standing
            self._changed()

    def _again_soon(self) -> None:
        self._wake.wait(SOON_S)
        self._wake.set()
