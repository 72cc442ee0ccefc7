"""What a supervisor does about its workers, with workers that do what the test says, over real links and sockets."""

from __future__ import annotations

import selectors
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton.endpoints.replica.config import Deployment, ReplicaConfig, Workers
from lepton.endpoints.replica.fleet import SILENT_S, START_TIMEOUT_S, Fleet
from lepton.endpoints.replica.link import Closed, Drain, Failed, Link, Listen, Load, Message, Ready, SignedTokens, Start
from lepton.endpoints.replica.workers import Worker


class FakeWorker:
    """A worker without a process: the test says for it when it is ready, fails or ends."""

    def __init__(self, pid: int, generation: int, link: Link) -> None:
        self.pid = pid
        self.generation = generation
        self.returncode: int | None = None
        self.link = link
        self.heard: list[Message] = []
        self.is_ready = False

    def poll(self) -> int | None:
        return self.returncode

    def kill(self) -> None:
        self.end(-signal.SIGKILL)

    def end(self, code: int) -> None:
        if self.returncode is None:
            self.returncode = code
            self.link.close()

    def say(self, message: Message) -> None:
        self.is_ready |= isinstance(message, Ready)
        self.link.send(message)

    def hear(self) -> list[Message]:
        """Everything that it was told so far."""
        if self.returncode is None:
            self.heard += self.link.receive() or []
        return self.heard

    @property
    def accepts_on(self) -> set[int]:
        told = [message for message in self.hear() if isinstance(message, Listen)]
        return set(told[-1].sockets) if told and not self.is_draining else set()

    @property
    def is_draining(self) -> bool:
        return any(isinstance(message, Drain) for message in self.hear())


class Yard:
    """A fleet whose clock and workers are the test's."""

    def __init__(self, workers: Workers) -> None:
        self.now_s = 1000.0
        self.all: list[FakeWorker] = []
        self.selector = selectors.DefaultSelector()
        self.fleet = Fleet(config(1, workers), self.selector, self.now_s, start=self._start)
        self.settle()

    def _start(self, config: ReplicaConfig, *, slot: int, epoch: int, deadline_s: float) -> Worker:
        ours, theirs = socket.socketpair()
        fake = FakeWorker(100 + len(self.all), config.generation, Link(theirs))
        self.all.append(fake)
        worker = Worker(slot, epoch, config.generation, fake, Link(ours), deadline_s)
        worker.link.send(Start(config.deployments))
        return worker

    @property
    def alive(self) -> list[FakeWorker]:
        return [worker for worker in self.all if worker.returncode is None]

    def settle(self, *, after_s: float = 0.0) -> None:
        self.now_s += after_s
        for _ in range(2):  # what is said in the first round is heard in the second
            for key, _ in self.selector.select(0):
                key.data()
            self.fleet.settle(self.now_s)

    def get_ready(self) -> None:
        """Let everyone who starts be ready, and everyone who drains end."""
        for worker in self.alive:
            if worker.is_draining:
                worker.end(0)
            elif not worker.is_ready:
                worker.say(Ready())
        self.settle()

    def close(self) -> None:
        self.fleet.stop(self.now_s)
        for worker in self.alive:
            worker.end(0)
        self.settle()
        assert self.fleet.over
        self.selector.close()


def config(generation: int, workers: Workers) -> ReplicaConfig:
    deployment = Deployment("size", "default", f"size@{generation}", generation, "p", "b", "k", "{}", "s", "t")
    return ReplicaConfig((deployment,), generation, "127.0.0.1", 0, workers, "unused", "secret")


@contextmanager
def yard(low: int, high: int | None = None, idle_s: float = 300.0) -> Iterator[Yard]:
    made = Yard(Workers(low, high or low, idle_s))
    try:
        yield made
    finally:
        made.close()


def test_the_sockets_are_dealt_out_to_those_who_are_ready() -> None:
    with yard(2, 3) as made:
        first, second = made.all
        assert first.accepts_on == set()
        made.get_ready()
        assert first.accepts_on | second.accepts_on == set(range(12))
        assert len(first.accepts_on) == len(second.accepts_on) == 6
        first.end(-signal.SIGSEGV)
        made.settle()
        assert second.accepts_on == set(range(12))


def test_the_old_accept_until_all_of_the_new_are_ready() -> None:
    with yard(2) as made:
        made.get_ready()
        old = list(made.alive)
        made.fleet.deploy(config(2, Workers(2, 2)))
        made.settle()
        new = made.alive[2:]
        new[0].say(Ready())
        made.settle()
        assert [worker.accepts_on for worker in old] == [{0}, {1}]
        assert made.fleet.status().serving == 1
        new[1].say(Ready())
        made.settle()
        assert [worker.accepts_on for worker in new] == [{0}, {1}]
        assert all(worker.is_draining for worker in old)
        assert made.fleet.status().serving == 2
        assert made.fleet.status().coming  # one of the old may be accepting right now
        old[0].say(Closed())
        old[1].end(0)
        made.settle()
        assert not made.fleet.status().coming


def test_one_that_cannot_load_ends_the_deployment_with_its_sentence() -> None:
    with yard(2) as made:
        made.get_ready()
        old = list(made.alive)
        made.fleet.deploy(config(2, Workers(2, 2)))
        made.settle()
        made.alive[2].say(Failed("It is damaged."))
        made.alive[2].end(1)
        made.settle()
        status = made.fleet.status()
        assert (status.told, status.serving, status.coming, status.message) == (2, 1, False, "It is damaged.")
        assert made.alive == old
        made.settle(after_s=3600)
        assert made.alive == old  # nobody tries again by himself


def test_one_that_does_not_get_ready_is_ended() -> None:
    with yard(1) as made:
        made.settle(after_s=START_TIMEOUT_S + 1)
        made.settle()
        assert "not loaded within 60 s" in made.fleet.status().message
        assert made.alive == []


def test_one_that_hangs_is_ended_and_replaced() -> None:
    with yard(1) as made:
        made.get_ready()
        (hanging,) = made.all
        for _ in range(60):  # half a minute of reports
            hanging.say(Load())
            made.settle(after_s=0.5)
        assert hanging.returncode is None
        made.settle(after_s=SILENT_S)
        made.settle()
        assert hanging.returncode == -signal.SIGKILL
        assert len(made.alive) == 1


def test_a_worker_that_keeps_dying_comes_back_with_growing_pauses() -> None:
    with yard(1) as made:
        made.get_ready()
        pauses = []
        for _ in range(9):
            made.alive[0].end(-signal.SIGSEGV)
            waited = 0
            made.settle()
            while not made.alive:
                made.settle(after_s=1.0)
                waited += 1
            made.get_ready()
            pauses.append(waited)
        assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60]
        assert made.fleet.status().workers[0].restarts == 9


def test_lists_of_tokens_reach_every_worker_also_later_ones() -> None:
    with yard(1) as made:
        made.get_ready()
        made.fleet.tokens("signed")
        made.fleet.deploy(config(2, Workers(1, 1)))
        made.settle()
        assert [SignedTokens("signed") in worker.hear() for worker in made.all] == [True, True]


def test_load_brings_more_workers_and_quiet_ends_them() -> None:
    with yard(1, 3) as made:
        made.get_ready()
        made.all[0].say(Load(in_flight=40, requests=5))
        made.settle(after_s=0.5)
        assert len(made.alive) == 3
        made.get_ready()
        for _ in range(200):
            made.all[0].say(Load(in_flight=0, requests=9))
            made.settle(after_s=0.5)
            made.get_ready()
        assert made.alive == [made.all[0]]
        assert made.fleet.status().requests == 9


def test_nobody_is_kept_while_nobody_asks_and_one_is_started_when_somebody_does() -> None:
    with yard(0, 2, idle_s=10.0) as made:
        made.get_ready()
        assert not made.fleet.waiting
        made.settle(after_s=11.0)
        assert made.all[0].is_draining
        assert len(made.fleet.waiting) == 8
        made.get_ready()
        assert made.fleet.quiet
        made.fleet.wake(made.now_s)
        made.settle()
        made.get_ready()
        assert not made.fleet.waiting
        assert made.alive[0].accepts_on == set(range(8))


def test_a_replica_that_sleeps_still_finds_out_whether_a_new_version_can_be_loaded() -> None:
    with yard(0, 1, idle_s=10.0) as made:
        made.get_ready()
        made.settle(after_s=11.0)
        made.get_ready()
        made.fleet.deploy(config(2, Workers(0, 1, 10.0)))
        made.settle()
        assert not made.fleet.quiet
        made.get_ready()
        assert made.fleet.status().serving == 2


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["deploy", "ready", "fail", "crash", "scale", "drained", "wait"]), st.integers(0, 7)),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_whatever_happens_every_socket_has_exactly_one_who_accepts(actions: list[tuple[str, int]]) -> None:
    with yard(2) as made:
        made.get_ready()
        generation, wanted = 1, Workers(2, 2)
        for action, number in actions:
            worker = made.alive[number % len(made.alive)] if made.alive else None
            if action == "deploy":
                generation += 1
                made.fleet.deploy(config(generation, wanted))
            elif action == "scale":
                wanted = Workers(number % 4 + 1, number % 4 + 1)
                made.fleet.scale(wanted, made.now_s)
            elif action == "wait":
                made.now_s += number * 10.0
            elif worker is not None:
                _act(action, worker)
            made.settle()
            _check(made)
        made.fleet.deploy(config(generation + 1, wanted))
        for _ in range(4):
            made.settle(after_s=120.0)
            made.get_ready()
        status = made.fleet.status()
        assert (status.serving, status.message) == (generation + 1, "")
        assert [worker.state for worker in status.workers] == ["ready"] * wanted.min


def _act(action: str, worker: FakeWorker) -> None:
    if action == "ready" and not worker.is_ready:
        worker.say(Ready())
    elif action == "fail" and not worker.is_ready:
        worker.say(Failed("It is damaged."))
        worker.end(1)
    elif action == "crash":
        worker.end(-signal.SIGSEGV)
    elif action == "drained" and worker.is_draining:
        worker.end(0)


def _check(made: Yard) -> None:
    status = made.fleet.status()
    ready = [w.pid for w in status.workers if w.state == "ready" and w.generation == status.serving]
    accepting = [worker for worker in made.alive if worker.accepts_on]
    assert {worker.pid for worker in accepting} <= set(ready)
    dealt = sorted(number for worker in accepting for number in worker.accepts_on)
    assert dealt == (list(range(len(made.fleet.sockets))) if ready else [])


def test_workers_are_told_which_part_of_the_limits_is_theirs() -> None:
    yard = Yard(Workers(1, 4))
    yard.get_ready()
    (alone,) = yard.alive
    assert [m.share for m in alone.hear() if isinstance(m, Listen)] == [1.0]
    yard.fleet.scale(Workers(3, 4), yard.now_s)
    yard.settle()
    yard.get_ready()
    shares = [[m.share for m in worker.hear() if isinstance(m, Listen)][-1] for worker in yard.alive]
    assert len(shares) == 3
    assert sum(shares) == 1.0
    assert shares == [len(worker.accepts_on) / 16 for worker in yard.alive]
    yard.close()
