"""The workers of a replica: which there should be, which there are, and whose turn it is to accept.

A deployment starts new workers beside the old ones; once all are ready they get the sockets, and the old ones drain.
What calls this, and when, is in `supervisor`; how many workers a load needs is in `autoscale`.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections import Counter, deque
from dataclasses import replace

from lepton.endpoints.replica import autoscale, sockets, workers
from lepton.endpoints.replica.config import ReplicaConfig, Workers
from lepton.endpoints.replica.control import ReplicaStatus, WorkerStatus
from lepton.endpoints.replica.link import Closed, Failed, Load, Ready, SignedTokens, Told
from lepton.endpoints.replica.workers import StartsWorkers, Worker, WorkerState
from lepton.endpoints.restarts import RestartDelays

START_TIMEOUT_S = 60.0
SILENT_S = 15.0
"""A worker that has not reported for so long hangs: it reports twice a second from the loop that answers requests."""
SCALE_EVERY_S = 0.5
LAST_WORDS = 256
"""Documents of ended workers that are kept for a control plane that is away."""


class Fleet:
    """All workers of one replica.

    Args:
        config: What to answer for first.
        selector: Where links are watched; a key's data is called when there is something to do.
        now_s: Seconds on a clock that only goes forward.
        start: Starts workers.

    Raises:
        OSError: if the address cannot be listened on.
    """

    def __init__(
        self,
        config: ReplicaConfig,
        selector: selectors.BaseSelector,
        now_s: float,
        *,
        start: StartsWorkers = workers.start,
    ) -> None:
        self.sockets = sockets.Sockets(config.host, config.port)
        self._selector = selector
        self._start_worker = start
        self._workers: list[Worker] = []
        self._grpc: sockets.Reserved | None = None
        self._told = self._serving = self._with_grpc(config)
        self._told_epoch, self._serving_epoch = 1, 0
        self._message = ""
        self._tokens: SignedTokens | None = None
        self._scale = autoscale.begin(config.workers, now_s)
        self._looked_s = now_s
        self._loads: dict[int, Load] = {}
        self._restarts = RestartDelays()
        self._restarted: Counter[int] = Counter()
        self._ended: Counter[str] = Counter()
        self._last_words: deque[tuple[str, str]] = deque(maxlen=LAST_WORDS)
        self._stopping = False

    @property
    def over(self) -> bool:
        """Whether it was told to stop, and has."""
        return self._stopping and not self._workers

    @property
    def port(self) -> int:
        """TCP port of predictions."""
        return self.sockets.port

    @property
    def waiting(self) -> list[socket.socket]:
        """All sockets while nobody is there to accept, on purpose: the caller watches them and calls `wake`."""
        return [self.sockets[number] for number in range(len(self.sockets))] if self._asleep else []

    @property
    def quiet(self) -> bool:
        """Whether nothing has to be done until something happens."""
        return self._asleep and not self._workers and not self._is_starting

    def deploy(self, config: ReplicaConfig) -> None:
        """Answer for something else as soon as its workers are ready; what was still being started is given up."""
        if self._is_coming:
            self._give_up(self._told_epoch)
        self._told = self._with_grpc(config)
        self._told_epoch += 1
        self._message = ""

    def scale(self, wanted: Workers, now_s: float) -> None:
        """Change how many workers there may be."""
        self._told = replace(self._told, workers=wanted)
        self._serving = replace(self._serving, workers=wanted)
        self._scale = autoscale.within(self._scale, wanted, now_s)

    def wake(self, now_s: float) -> None:
        """Have one worker at least, as somebody waits in a socket."""
        self._scale = autoscale.woken(self._scale, now_s)

    def tokens(self, document: str) -> None:
        """Keep a signed list of tokens and hand it to every worker, also to later ones."""
        self._tokens = SignedTokens(document)
        for worker in self._workers:
            worker.link.send(self._tokens)

    def stop(self, now_s: float) -> None:
        """Let every worker finish what it is answering, and end."""
        if self._stopping:
            return
        self._stopping = True
        self.sockets.close()
        for worker in self._workers:
            if worker.state is WorkerState.STARTING:
                worker.give_up()
            else:
                worker.drain(now_s, linger_s=0.0)

    def settle(self, now_s: float) -> None:
        """Bring what is closer to what should be. To be called after every event, and twice a second."""
        self._reap(now_s)
        self._end_the_late(now_s)
        if not self._stopping:
            self._rescale(now_s)
            if self._is_starting:
                self._advance(now_s)
            if self._serving_epoch:
                self._fill(self._serving, self._serving_epoch, self._scale.wanted, now_s)
                self._share()
        self._flush()

    def status(self) -> ReplicaStatus:
        """Say how everything stands."""
        alive = sorted(self._workers, key=lambda worker: (worker.epoch, worker.slot))
        return ReplicaStatus(
            pid=os.getpid(),
            told=self._told.generation,
            serving=self._serving.generation if self._serving_epoch else 0,
            coming=self._is_starting or self._is_handing_over,
            message=self._message,
            host=self._told.host,
            port=self.sockets.port,
            grpc_port=self._told.grpc_port,
            min=self._told.workers.min,
            max=self._told.workers.max,
            replicas=self._told.workers.replicas,
            wanted=self._scale.wanted,
            requests=self._ended["requests"] + sum(worker.load.requests for worker in alive),
            errors=self._ended["errors"] + sum(worker.load.errors for worker in alive),
            workers=tuple(self._status_of(worker) for worker in alive),
        )

    def watch(self) -> dict[str, list[tuple[str, str]]]:
        """Hand over what workers tell the control plane: those that live, and once those that have ended since."""
        ended = [*self._last_words]
        self._last_words.clear()
        return {"alive": [(_name(w), w.told) for w in self._workers if w.told], "ended": [e for e in ended if e[1]]}

    @property
    def _asleep(self) -> bool:
        return self._serving_epoch > 0 and self._scale.wanted == 0 and not self._stopping

    def _with_grpc(self, config: ReplicaConfig) -> ReplicaConfig:
        if config.grpc and self._grpc is None:
            self._grpc = sockets.Reserved(config.host, self.sockets.port + 1)
        return replace(config, grpc_port=self._grpc.port if config.grpc and self._grpc else 0)

    @property
    def _is_coming(self) -> bool:
        return self._told_epoch != self._serving_epoch

    @property
    def _is_starting(self) -> bool:
        return self._is_coming and not self._message

    @property
    def _is_handing_over(self) -> bool:
        """Whether somebody who connects may still meet a worker of an older deployment."""
        return any(w.epoch < self._serving_epoch and w.sockets and not w.closed for w in self._workers)

    def _of(self, epoch: int) -> list[Worker]:
        return [w for w in self._workers if w.epoch == epoch and w.state is not WorkerState.DRAINING]

    def _ready(self, epoch: int) -> list[Worker]:
        return [worker for worker in self._of(epoch) if worker.state is WorkerState.READY]

    def _status_of(self, worker: Worker) -> WorkerStatus:
        load = worker.load
        return WorkerStatus(
            slot=worker.slot, pid=worker.process.pid, state=worker.state.value, generation=worker.generation,
            restarts=self._restarted[worker.slot] if worker.epoch == self._serving_epoch else 0,
            in_flight=load.in_flight, queued=load.queued, requests=load.requests, errors=load.errors,
        )  # fmt: skip

    def _give_up(self, epoch: int) -> None:
        for worker in self._of(epoch):
            worker.give_up()

    def _advance(self, now_s: float) -> None:
        wanted = autoscale.woken(autoscale.within(self._scale, self._told.workers, now_s), now_s)
        self._fill(self._told, self._told_epoch, wanted.wanted, now_s)
        if len(self._ready(self._told_epoch)) < wanted.wanted:
            return
        old = self._serving_epoch
        self._serving, self._serving_epoch, self._scale = self._told, self._told_epoch, wanted
        self._restarted.clear()
        self.sockets.listen()
        self._share()
        for worker in self._of(old):
            if worker.state is WorkerState.READY:
                worker.drain(now_s)
            else:
                worker.give_up()

    def _fill(self, config: ReplicaConfig, epoch: int, wanted: int, now_s: float) -> None:
        """Start workers in the slots that have none; end those in slots above."""
        alive = {worker.slot: worker for worker in self._of(epoch)}
        for slot, worker in alive.items():
            if slot >= wanted and worker.state is WorkerState.READY:
                worker.drain(now_s)
            elif slot >= wanted:
                worker.give_up()
        for slot in set(range(wanted)) - alive.keys():
            if self._restarts.due(f"{epoch}/{slot}", now_s):
                self._start(config, epoch, slot, now_s)

    def _start(self, config: ReplicaConfig, epoch: int, slot: int, now_s: float) -> None:
        try:
            worker = self._start_worker(config, slot=slot, epoch=epoch, deadline_s=now_s + START_TIMEOUT_S)
        except OSError:
            self._failed(epoch, slot, "No process can be started on this machine now.", now_s)
            return
        if self._tokens is not None:
            worker.link.send(self._tokens)
        self._workers.append(worker)
        self._selector.register(worker.link, selectors.EVENT_READ, lambda: self._hear(worker))

    def _share(self) -> None:
        """Deal the sockets out to the workers that are ready."""
        self.sockets.grow(sockets.count_for(self._serving.workers))
        ready = {worker.slot: worker for worker in self._ready(self._serving_epoch)}
        for slot, numbers in sockets.shares(len(self.sockets), ready).items():
            ready[slot].listen(numbers, self.sockets)

    def _hear(self, worker: Worker) -> None:
        messages = worker.link.receive()
        if messages is None and worker.link in self._links():
            self._selector.unregister(worker.link)  # it is about to end; `_reap` sees it
        for message in messages or ():
            if isinstance(message, Load):
                worker.load, worker.spoke = message, True
            elif isinstance(message, Told):
                worker.told = message.document
            elif isinstance(message, Closed):
                worker.closed = True
            elif isinstance(message, Failed):
                worker.message = message.message
            elif isinstance(message, Ready) and worker.state is WorkerState.STARTING:
                worker.state, worker.deadline_s = WorkerState.READY, None
                if worker.epoch == self._told_epoch == self._serving_epoch:
                    self._message = ""

    def _links(self) -> set[object]:
        return {key.fileobj for key in self._selector.get_map().values()}

    def _flush(self) -> None:
        for worker in self._workers:
            if worker.link in self._links():
                unsent = 0 if worker.link.flush() else selectors.EVENT_WRITE
                key = self._selector.get_key(worker.link)
                if key.events != selectors.EVENT_READ | unsent:
                    self._selector.modify(worker.link, selectors.EVENT_READ | unsent, key.data)

    def _reap(self, now_s: float) -> None:
        for worker in [worker for worker in self._workers if worker.process.poll() is not None]:
            self._hear(worker)  # its last words
            if worker.link in self._links():
                self._selector.unregister(worker.link)
            worker.link.close()
            self._workers.remove(worker)
            self._ended.update(requests=worker.load.requests, errors=worker.load.errors)
            self._last_words.append((_name(worker), worker.told))
            if worker.state is WorkerState.STARTING:
                self._failed(
                    worker.epoch, worker.slot, worker.message or _ended_by(worker.process.returncode or 0), now_s
                )
            elif worker.state is WorkerState.READY:
                self._restarted[worker.slot] += 1
                self._restarts.note(f"{worker.epoch}/{worker.slot}", now_s)

    def _end_the_late(self, now_s: float) -> None:
        for worker in self._workers:
            if worker.spoke and worker.state is WorkerState.READY:
                worker.spoke, worker.deadline_s = False, now_s + SILENT_S
            elif worker.deadline_s is not None and now_s >= worker.deadline_s:
                worker.message = f"The model was not loaded within {START_TIMEOUT_S:.0f} s."
                worker.process.kill()

    def _failed(self, epoch: int, slot: int, message: str, now_s: float) -> None:
        self._restarts.note(f"{epoch}/{slot}", now_s)
        if epoch == self._told_epoch:
            self._message = message
            if self._is_coming:
                self._give_up(epoch)

    def _rescale(self, now_s: float) -> None:
        if now_s - self._looked_s < SCALE_EVERY_S:
            return
        loads = {worker.process.pid: worker.load for worker in self._ready(self._serving_epoch)}
        if loads:
            seen = autoscale.seen(self._loads, loads, now_s - self._looked_s)
            self._scale = autoscale.step(self._scale, self._serving.workers, seen, now_s)
        self._loads, self._looked_s = loads, now_s


def _name(worker: Worker) -> str:
    """What tells a worker from any other this supervisor ever had."""
    return f"{worker.epoch}/{worker.slot}/{worker.process.pid}"


def _ended_by(code: int) -> str:
    how = f" by {signal.Signals(-code).name}" if code < 0 else ""
    return f"The worker was ended{how} before the model was loaded."
