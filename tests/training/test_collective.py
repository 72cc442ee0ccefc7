"""The wire between workers: who may join, what they get, and what happens when one misbehaves."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from lepton.core.errors import Internal, InvalidInput, LeptonError, TooLarge, Unauthenticated, Unavailable
from lepton.training import channel as channels
from lepton.training.channel import Channel, Op
from lepton.training.collective import LocalCollective, TcpCollective, open_collective

SECRET = b"s" * 32


def join(world_size, *, timeout_s=20.0):
    """Return the collectives of all workers of a run, joined inside this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    with ThreadPoolExecutor(world_size) as pool:
        lead = pool.submit(TcpCollective.lead, listener, world_size=world_size, secret=SECRET, timeout_s=timeout_s)
        rest = [
            pool.submit(
                TcpCollective.follow, address, rank=rank, world_size=world_size, secret=SECRET, timeout_s=timeout_s
            )
            for rank in range(1, world_size)
        ]
        return [lead.result(), *(one.result() for one in rest)]


def on_all(workers, call):
    """Run a call on every worker at once; return results or errors in the order of ranks."""

    def attempt(worker):
        try:
            return call(worker)
        except LeptonError as error:
            return error

    with ThreadPoolExecutor(len(workers)) as pool:
        return list(pool.map(attempt, workers))


@pytest.fixture
def three():
    workers = join(3)
    yield workers
    for worker in workers:
        worker.close()


def test_a_sum_is_in_the_order_of_ranks_and_has_the_same_bits_everywhere(three):
    parts = [np.array([1e16, 0.1]), np.array([1.0, 0.2]), np.array([-1e16, 0.3])]
    sums = on_all(three, lambda worker: worker.all_reduce(parts[worker.rank]))
    expected = (parts[0] + parts[1]) + parts[2]
    for one in sums:
        assert one.tobytes() == expected.tobytes()


def test_sums_keep_their_shape_down_to_single_numbers_and_none(three):
    for shape in [(), (0,), (2, 3, 4), (0, 5)]:
        assert {one.shape for one in on_all(three, lambda worker, s=shape: worker.all_reduce(np.ones(s)))} == {shape}


def test_a_sum_larger_than_the_sockets_buffers_arrives(three):
    array = np.arange(2_000_000, dtype=np.float64)
    for one in on_all(three, lambda worker: worker.all_reduce(array)):
        assert np.array_equal(one, 3 * array)


def test_broadcast_and_gather_carry_bytes_in_the_order_of_ranks(three):
    told = on_all(three, lambda worker: worker.broadcast(b"from 0" if worker.rank == 0 else b"ignored"))
    assert told == [b"from 0"] * 3
    heard = on_all(three, lambda worker: worker.gather(bytes([worker.rank])))
    assert heard == [[b"\0", b"\1", b"\2"], None, None]
    assert on_all(three, lambda worker: worker.barrier()) == [None] * 3


def test_the_local_collective_does_the_same_for_one_worker():
    alone = LocalCollective()
    array = np.array([1, 2])
    total = alone.all_reduce(array)
    assert total.dtype == np.float64
    assert not np.shares_memory(total, array)
    assert alone.broadcast(b"x") == b"x"
    assert alone.gather(b"x") == [b"x"]
    assert alone.barrier() is None


def test_a_lost_worker_is_named_to_all_that_are_left(three):
    three[2].close()
    errors = on_all(three[:2], lambda worker: worker.barrier())
    for error in errors:
        assert isinstance(error, Unavailable)
        assert "Worker 2 went away" in error.message


def test_a_lost_leader_is_named(three):
    three[0].close()
    for error in on_all(three[1:], lambda worker: worker.barrier()):
        assert isinstance(error, Unavailable)
        assert "Worker 0 went away" in error.message


def test_a_silent_worker_is_given_up_after_the_deadline():
    workers = join(2, timeout_s=0.05)
    with pytest.raises(Unavailable, match=r"Worker 1 did not answer within 0.05 seconds"):
        workers[0].barrier()
    workers[1].close()


def test_workers_out_of_step_are_told_so(three):
    errors = on_all(three, lambda worker: worker.gather(b"x") if worker.rank == 1 else worker.barrier())
    assert isinstance(errors[0], Internal)
    assert "worker 1 is in gather, another one in all_reduce" in errors[0].message


def test_sums_of_different_shapes_are_refused_on_all_workers(three):
    errors = on_all(three, lambda worker: worker.all_reduce(np.zeros(2 + worker.rank)))
    assert isinstance(errors[0], Internal)
    assert "shape" in errors[0].message
    assert all(isinstance(error, Internal | Unavailable) for error in errors)


def test_strangers_do_not_get_in_and_do_not_end_the_run():
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    with ThreadPoolExecutor(2) as pool:
        lead = pool.submit(TcpCollective.lead, listener, world_size=2, secret=SECRET)
        with socket.create_connection(address) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n".ljust(channels._HELLO.size, b"x"))
            assert stranger.recv(1) == b""
        with pytest.raises(Unauthenticated, match="does not hold this run's secret"):
            TcpCollective.follow(address, rank=1, world_size=2, secret=b"t" * 32)
        with TcpCollective.follow(address, rank=1, world_size=2, secret=SECRET) as follower, lead.result() as leader:
            assert on_all([leader, follower], lambda worker: float(worker.all_reduce(1.0))) == [2.0, 2.0]


def test_a_worker_that_only_knows_half_the_handshake_gets_no_answer():
    listener = socket.create_server(("127.0.0.1", 0))
    with ThreadPoolExecutor(1) as pool:
        lead = pool.submit(TcpCollective.lead, listener, world_size=2, secret=SECRET, connect_timeout_s=0.3)
        with socket.create_connection(listener.getsockname()) as stranger:
            hello = channels._HELLO.pack(channels._MAGIC, 1, 2, b"n" * 32)
            stranger.sendall(hello)
            answer = stranger.recv(64, socket.MSG_WAITALL)
            stranger.sendall(answer[32:])  # the leader's own proof, sent back
            assert stranger.recv(1) == b""
        with pytest.raises(Unavailable, match=r"1 of 2 workers were there after 0.3 seconds"):
            lead.result()


@pytest.mark.parametrize(
    ("told", "joining", "sentence"),
    [(2, [(1, 3)], "rank 1 of 3"), (3, [(1, 3), (1, 3)], "Two workers of this run have rank 1")],
)
def test_workers_that_disagree_about_the_run_are_refused(told, joining, sentence):
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    with ThreadPoolExecutor(3) as pool:
        lead = pool.submit(TcpCollective.lead, listener, world_size=told, secret=SECRET)
        followers = [
            pool.submit(
                TcpCollective.follow, address, rank=rank, world_size=world_size, secret=SECRET, connect_timeout_s=0.3
            )
            for rank, world_size in joining
        ]
        with pytest.raises(InvalidInput, match=sentence):
            lead.result()
        for follower in followers:
            with suppress(Unavailable):
                follower.result().close()


def test_a_leader_that_never_comes_is_given_up():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    with pytest.raises(Unavailable, match=r"Worker 0 did not let worker 1 in within 0.1 seconds"):
        TcpCollective.follow(address, rank=1, world_size=2, secret=SECRET, connect_timeout_s=0.1)


def test_impossible_arguments_are_refused():
    with pytest.raises(InvalidInput, match="at least 16"):
        TcpCollective.follow(("127.0.0.1", 1), rank=1, world_size=2, secret=b"short")
    with pytest.raises(InvalidInput, match="Rank 2 is not possible"):
        TcpCollective.follow(("127.0.0.1", 1), rank=2, world_size=2, secret=SECRET)
    with pytest.raises(InvalidInput, match="environment is incomplete"):
        open_collective({"RANK": "1", "WORLD_SIZE": "2"}, SECRET)
    assert isinstance(open_collective({}, b""), LocalCollective)


def pair():
    one, other = socket.socketpair()
    return Channel(one, 1, b"a" * 32, b"b" * 32, 5.0), Channel(other, 0, b"b" * 32, b"a" * 32, 5.0)


def test_nothing_readable_is_on_the_wire():
    near, far = pair()
    near.send(Op.GATHER, b"a class name nobody may read")
    seen = far.sock.recv(1000)
    assert b"class name" not in seen
    near.close()
    far.close()


@pytest.mark.parametrize("change", ["flip", "replay", "cut"])
def test_a_changed_replayed_or_cut_message_is_refused(change):
    near, far = pair()
    near.send(Op.GATHER, b"twelve bytes")
    seen = bytearray(far.sock.recv(1000))
    far.close()
    relay, far.sock = socket.socketpair()
    if change == "flip":
        seen[-1] ^= 1
    relay.sendall(seen[:-1] if change == "cut" else seen)
    if change == "replay":
        assert far.receive(Op.GATHER) == b"twelve bytes"
        relay.sendall(seen)
    relay.close()
    with pytest.raises(Unavailable if change == "cut" else Internal):
        far.receive(Op.GATHER)
    near.close()
    far.close()


def test_a_message_of_absurd_size_is_refused_before_memory_is_taken(monkeypatch):
    near, far = pair()
    near.sock.sendall(channels._HEADER.pack(Op.GATHER, 1 << 60))
    with pytest.raises(Internal, match="not possible"):
        far.receive(Op.GATHER)
    monkeypatch.setattr(channels, "MAX_FRAME_BYTES", 10)
    with pytest.raises(TooLarge, match="at most 10"):
        near.send(Op.GATHER, b"x" * 11)
    near.close()
    far.close()


@pytest.fixture(scope="module")
def two():
    workers = join(2)
    yield workers
    for worker in workers:
        worker.close()


@settings(max_examples=50, deadline=None)
@given(array=arrays.arrays(np.float64, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
def test_any_array_survives_the_wire_bit_by_bit(two, array):
    reader = threading.Thread(target=two[1].all_reduce, args=(np.zeros(array.shape),))
    reader.start()
    got = two[0].all_reduce(array)
    reader.join()
    assert got.tobytes() == (array + 0.0).tobytes()
