"""How workers are cut up among machines: never more on one than it has, all of them or none, on as few as can be."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton.runs.records import Machine, Part, Resources
from lepton.runs.room import Room, cut, pieces

numbers = st.integers(0, 4)
EACH = st.builds(Resources, st.sampled_from([0.1, 0.5, 1.0, 1.5, 3.0]), numbers.map(lambda n: n * 500), numbers)
FREE = st.lists(
    st.builds(Resources, st.sampled_from([0.0, 0.3, 1.0, 2.0, 4.5, 8.0]), numbers.map(lambda n: n * 1000), numbers),
    max_size=5,
)


def holds(each: Resources, free: Resources) -> int:
    """How many workers fit, found by trying."""
    return next(count for count in itertools.count() if not each.times(count + 1).fits_in(free) or count == 20)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 9), EACH, FREE)
def test_all_workers_have_room_on_as_few_machines_as_can_be_or_none_has(
    workers: int, each: Resources, free: list[Resources]
) -> None:
    found = cut(workers, each, free)
    most = [holds(each, one) for one in free]
    enough = [
        chosen
        for size in range(1, len(free) + 1)
        for chosen in itertools.combinations(range(len(free)), size)
        if sum(most[number] for number in chosen) >= workers
    ]
    if found is None:
        assert not enough
        return
    assert sum(count for _, count in found) == workers
    assert len({number for number, _ in found}) == len(found) == len(enough[0])
    for number, count in found:
        assert count >= 1
        assert each.times(count).fits_in(free[number])


def test_one_machine_is_preferred_and_the_one_that_it_fills_best() -> None:
    free = [Resources(2), Resources(8), Resources(4), Resources(3)]
    assert cut(3, Resources(1), free) == [(3, 3)]
    assert cut(8, Resources(1), free) == [(1, 8)]
    assert cut(10, Resources(1), free) == [(1, 8), (0, 2)]
    assert cut(18, Resources(1), free) is None


def test_processors_in_parts_add_up() -> None:
    assert cut(10, Resources(0.1), [Resources(1)]) == [(0, 10)]
    assert cut(11, Resources(0.1), [Resources(1), Resources(0.1)]) == [(0, 10), (1, 1)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), EACH), max_size=8), FREE)
def test_whatever_is_taken_one_after_the_other_no_machine_gives_more_than_it_has(
    runs: list[tuple[int, Resources]], free: list[Resources]
) -> None:
    machines = [Machine(f"m{number}", one) for number, one in enumerate(free)]
    room, used = Room(machines), {one.name: Resources.NONE for one in machines}
    placed = []
    for workers, each in runs:
        parts = room.take(workers, each)
        for part in parts or ():
            used[part.machine] = used[part.machine] + each.times(part.workers)
        placed += [(workers, each, parts)] if parts else []
    for one in machines:
        assert used[one.name].fits_in(one.has)
    again = Room(machines)  # as it is looked at when they run
    for workers, each, parts in placed:
        again.occupy(workers, each, parts)
    assert again.free == room.free


def test_a_run_of_which_nobody_knows_where_it_is_is_taken_from_where_there_is_most() -> None:
    room = Room([Machine("a", Resources(2)), Machine("b", Resources(8))])
    room.occupy(3, Resources(1), ())
    assert room.free == [Resources(2), Resources(5)]
    room.occupy(2, Resources(1), [Part("a", 1), Part("gone", 1)])
    assert room.free == [Resources(1), Resources(5)]


def test_room_is_asked_for_in_pieces_that_a_machine_can_hold() -> None:
    two = [Machine("a", Resources(2)), Machine("b", Resources(1))]
    assert pieces(5, Resources(1), two) == (Resources(2), Resources(2), Resources(1))
    assert pieces(2, Resources(1), two) == (Resources(2),)
    assert pieces(2, Resources(1), ()) == (Resources(1), Resources(1)), "nobody knows how large a machine would be"
    assert pieces(1, Resources(16), two) == (Resources(16),)
