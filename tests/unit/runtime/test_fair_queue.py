"""Turns by lane and line, and who loses a place when there are too many entries."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantmesh.runtime.fair_queue import FairQueue


def queue_of(*entries: tuple[str, str], places: int = 100, lane_places: int = 100) -> FairQueue[tuple[str, str, int]]:
    """Return a queue with these entries, each a lane and a line, in the order in which they came."""
    queue: FairQueue[tuple[str, str, int]] = FairQueue(places=places, lane_places=lane_places)
    for number, (lane, line) in enumerate(entries):
        assert queue.add((lane, line, number), lane, line) is None
    return queue


def drained(queue: FairQueue[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    order = []
    while found := queue.pop():
        assert found[0] == found[1][0]
        order.append(found[1])
    return order


def test_lanes_are_served_in_turn_and_lines_within_a_lane() -> None:
    queue = queue_of(*[("A", "a")] * 3, ("A", "b"), ("B", "x"), ("B", "x"))
    order = [(lane, line) for lane, line, _ in drained(queue)]
    assert order == [("A", "a"), ("B", "x"), ("A", "b"), ("B", "x"), ("A", "a"), ("A", "a")]


def test_a_lane_that_may_not_go_keeps_its_turn() -> None:
    queue = queue_of(("A", ""), ("B", ""), ("B", ""))
    popped = [queue.pop(lambda lane: lane != "A"), queue.pop(), queue.pop(lambda lane: lane == "C")]
    assert [found and found[0] for found in popped] == ["B", "A", None]
    assert len(queue) == 1


@pytest.mark.parametrize(
    ("waiting", "comes", "loses"),
    [
        ([("A", "a"), ("A", "a"), ("B", "x")], ("A", "b"), ("A", "a", 1)),
        ([("A", "a"), ("A", "b"), ("B", "x")], ("A", "c"), ("A", "c", 3)),
        ([("A", "a"), ("A", "a"), ("B", "x")], ("A", "a"), ("A", "a", 3)),
        ([("A", "a"), ("A", "a"), ("B", "x"), ("C", "y")], ("D", "z"), ("A", "a", 1)),
        ([("A", "a"), ("B", "a"), ("C", "x"), ("D", "y")], ("E", "z"), ("E", "z", 4)),
    ],
    ids=["the lane's longest line", "itself among equals", "itself", "the longest lane", "itself among equal lanes"],
)
def test_who_takes_most_loses_the_newest_place(
    waiting: list[tuple[str, str]], comes: tuple[str, str], loses: tuple[str, str, int]
) -> None:
    queue = queue_of(*waiting, places=4, lane_places=2)
    assert queue.add((*comes, len(waiting)), *comes) == loses
    assert loses not in drained(queue)


def test_an_entry_may_leave_from_anywhere_and_twice() -> None:
    queue = queue_of(("A", "a"), ("A", "a"), ("A", "b"))
    for _ in range(2):
        queue.discard(("A", "a", 1), "A", "a")
        queue.discard(("A", "b", 2), "A", "b")
    assert drained(queue) == [("A", "a", 0)]
    queue.discard(("A", "a", 0), "A", "a")
    assert len(queue) == 0


_STEPS = st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("xy"), st.sampled_from(["add", "pop", "leave"])))


@given(_STEPS)
def test_no_entry_is_lost_or_served_twice_and_the_bounds_hold(steps: list[tuple[str, str, str]]) -> None:
    queue: FairQueue[tuple[str, str, int]] = FairQueue(places=5, lane_places=3)
    waiting: set[tuple[str, str, int]] = set()
    for number, (lane, line, step) in enumerate(steps):
        if step == "add":
            waiting.add(entry := (lane, line, number))
            if (refused := queue.add(entry, lane, line)) is not None:
                waiting.remove(refused)
                largest = max(Counter(lane for lane, _, _ in {*waiting, refused}).values())
                assert largest == sum(each[0] == refused[0] for each in {*waiting, refused})
        elif step == "pop" and (found := queue.pop()):
            waiting.remove(found[1])
        elif step == "leave" and waiting:
            waiting.remove(gone := min(waiting))
            queue.discard(gone, *gone[:2])
        assert len(queue) == len(waiting) <= 5
        assert all(count <= 3 for count in Counter(lane for lane, _, _ in waiting).values())
    assert set(drained(queue)) == waiting
