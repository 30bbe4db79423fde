from __future__ import annotations

from datetime import timedelta

from tenantmesh.runtime.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock) -> Breaker:
    return Breaker(failures=3, window=timedelta(seconds=1), pause=timedelta(seconds=1), clock=clock)


def opened(clock: Clock) -> Breaker:
    made = breaker(clock)
    for _ in range(3):
        made.failed()
    return made


def test_it_opens_after_failures_within_the_window() -> None:
    made = breaker(clock := Clock())
    made.failed()
    made.failed()
    assert made.admits()
    made.failed()
    assert made.is_open
    assert not made.admits()
    assert clock.now == 100.0


def test_failures_far_apart_do_not_open_it() -> None:
    made = breaker(clock := Clock())
    for _ in range(10):
        made.failed()
        clock.now += 0.6
    assert not made.is_open


def test_after_the_pause_one_caller_probes() -> None:
    made = opened(clock := Clock())
    clock.now += 1.0
    assert [made.admits(), made.admits()] == [True, False]


def test_a_probe_that_succeeds_closes_it() -> None:
    made = opened(clock := Clock())
    clock.now += 1.0
    assert made.admits()
    made.succeeded()
    assert not made.is_open
    assert [made.admits(), made.admits()] == [True, True]


def test_a_probe_that_fails_opens_it_for_another_pause() -> None:
    made = opened(clock := Clock())
    clock.now += 1.0
    assert made.admits()
    made.failed()
    assert not made.admits()
    clock.now += 1.0
    assert made.admits()


def test_a_probe_whose_caller_left_proves_nothing_and_blocks_nobody() -> None:
    made = opened(clock := Clock())
    clock.now += 1.0
    assert made.admits()
    made.abandoned()
    assert made.admits()
