from __future__ import annotations

import threading
import time
import uuid

import pytest

from tenantmesh.runtime.ids import Uuid7Source, uuid7


def test_it_is_a_version_7_uuid_of_now() -> None:
    made = uuid7()
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert abs((made.int >> 80) - time.time_ns() // 1_000_000) < 2_000


def test_each_is_greater_than_the_one_before() -> None:
    made = [uuid7() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_order_survives_a_clock_that_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Uuid7Source()
    before = source.next()
    monkeypatch.setattr("tenantmesh.runtime.ids.time.time_ns", lambda: 0)
    assert source.next() > before


def test_threads_never_get_the_same() -> None:
    made: list[uuid.UUID] = []
    threads = [threading.Thread(target=lambda: made.extend(uuid7() for _ in range(2_000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8_000
