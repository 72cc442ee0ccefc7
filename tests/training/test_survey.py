"""The first pass: what workers agree on, and problems that all of them hear of."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lepton.core.errors import InvalidInput
from lepton.training.moments import Moments
from lepton.training.problems import TrainingDataError
from lepton.training.survey import survey


class FakeRun:
    """Workers in threads: sums and messages meet in lists, in the order of ranks."""

    def __init__(self, world_size):
        from threading import Barrier

        self.slots = [None] * world_size
        self.gate = Barrier(world_size, timeout=10)
        self.workers = [FakeCollective(self, rank, world_size) for rank in range(world_size)]

    def each(self, call):
        def attempt(worker):
            try:
                return call(worker)
            except TrainingDataError as error:
                return error

        with ThreadPoolExecutor(len(self.workers)) as pool:
            return list(pool.map(attempt, self.workers))


class FakeCollective:
    def __init__(self, run, rank, world_size):
        self.run, self.rank, self.world_size = run, rank, world_size

    def _share(self, thing):
        self.run.slots[self.rank] = thing
        self.run.gate.wait()
        everything = list(self.run.slots)
        self.run.gate.wait()
        return everything

    def all_reduce(self, array):
        return np.sum(np.stack([np.asarray(one, dtype=float) for one in self._share(array)]), axis=0)

    def broadcast(self, data):
        return self._share(data)[0]

    def gather(self, data):
        everything = self._share(data)
        return everything if self.rank == 0 else None

    def barrier(self):
        self._share(None)


def shards(*parts):
    return lambda worker: lambda: iter([parts[worker.rank]] if parts[worker.rank] is not None else [])


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ([(np.ones((2, 1)), np.array(["a", "b"])), (np.full((1, 1), np.nan), np.array(["a"]))], "Feature column 0"),
        ([(np.ones((2, 1)), np.array(["a", "b"])), (np.ones((1, 2)), np.array(["a"]))], r"columns \(1, 2\)"),
        ([(np.ones((2, 1)), np.array(["a", "b"])), (np.ones((1, 1)), np.array([1]))], "mixes number and text"),
        ([(np.ones((2, 1)), np.array(["a", "a"])), (np.ones((1, 1)), np.array(["a"]))], "only one class"),
        ([None, None], "no rows"),
    ],
)
def test_a_problem_of_one_worker_is_the_same_error_on_all(parts, sentence):
    find = shards(*parts)
    errors = FakeRun(2).each(lambda worker: survey(find(worker), worker, classify=True))
    for error in errors:
        assert isinstance(error, InvalidInput)
    assert errors[0].message == errors[1].message
    with pytest.raises(InvalidInput, match=sentence):
        raise errors[0]


@pytest.mark.parametrize(
    ("one", "other", "classes"),
    [
        (np.array(["b", "a"]), np.array(["longer"]), np.array(["a", "b", "longer"])),
        (np.array([2, 1], dtype=np.int8), np.array([3], dtype=np.int64), np.array([1, 2, 3])),
        (np.array([2, 1]), np.array([3.0]), np.array([1.0, 2.0, 3.0])),
        (np.array([True, True]), np.array([False]), np.array([False, True])),
        (np.array(["b", "a"], dtype=object), np.array(["c"]), np.array(["a", "b", "c"], dtype=object)),
        (np.array([2**63, 1], dtype=np.uint64), np.array([2], dtype=np.uint64), np.array([1, 2, 2**63], np.uint64)),
    ],
)
def test_classes_are_those_of_all_workers_in_one_order_and_type(one, other, classes):
    find = shards((np.ones((2, 1)), one), (np.ones((1, 1)), other))
    found = FakeRun(2).each(lambda worker: survey(find(worker), worker, classify=True))
    for part, mine in zip(found, (one, other), strict=True):
        assert part.classes.tolist() == classes.tolist()
        assert part.classes.dtype == classes.dtype
        assert part.classes[part.targets[0]].tolist() == mine.tolist()


@settings(max_examples=60, deadline=None)
@given(
    rows=arrays.arrays(np.float64, st.tuples(st.integers(1, 25), st.just(3)), elements=st.floats(-1e6, 1e6)),
    cut=st.floats(0, 1),
    full=st.booleans(),
    offset=st.sampled_from([0.0, 1e9]),
)
def test_moments_of_shards_add_up_to_those_of_all_rows(rows, cut, full, offset):
    rows = rows + offset
    at = int(cut * len(rows))
    parts = [rows[:at], rows[at:]]

    def look(worker):
        moments = Moments.empty(3, full=full)
        for start in range(0, len(parts[worker.rank]), 4):
            moments.add(parts[worker.rank][start : start + 4])
        return moments.over_workers(worker)

    one, other = FakeRun(2).each(look)
    centered = rows - rows.mean(axis=0)
    expected = centered.T @ centered
    expected = expected if full else np.diag(expected)
    # values of size 1e6 to 1e9 carry 1e-16 of that; the products grow with size times spread
    size = max(1.0, np.abs(rows).max())
    assert np.allclose(one.mean, rows.mean(axis=0), rtol=1e-12, atol=1e-12 * size)
    assert np.allclose(one.products, expected, rtol=1e-9, atol=1e-13 * size**2 * len(rows))
    assert one.products.tobytes() == other.products.tobytes()


def test_a_constant_column_has_a_variance_of_exactly_0():
    for value in (0.1, 1e9 / 3, -1e-30):
        moments = Moments.empty(1, full=False)
        for _ in range(3):
            moments.add(np.full((8191, 1), value))
        assert moments.variance[0] == 0.0
