from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta

import pytest

from tenantmesh.runtime.health import NOT_SERVING, OVERALL, SERVICE_UNKNOWN, SERVING, Check, Health

SOON = timedelta(milliseconds=10)


class Probe:
    """Something that is there or not."""

    def __init__(self) -> None:
        self.missing = False
        self.asked = 0

    async def __call__(self) -> None:
        self.asked += 1
        if self.missing:
            raise ConnectionError


def health_of(probe: Probe, tolerance: timedelta = timedelta(0)) -> Health:
    check = Check("database", probe, tolerance=tolerance)
    return Health({"demo.v1.Notes": [check], "demo.v1.Plans": [check], "demo.v1.Free": []}, interval=SOON)


async def eventually(health: Health, service: str, status: int) -> None:
    async with asyncio.timeout(2), aclosing(health.watch(service)) as statuses:
        async for current in statuses:
            if current == status:
                return


async def test_nothing_serves_before_the_first_round() -> None:
    assert set(health_of(Probe()).statuses().values()) == {NOT_SERVING}


async def test_services_follow_their_checks_and_the_process_follows_its_services() -> None:
    health = health_of(probe := Probe())
    await health.start()
    assert set(health.statuses().values()) == {SERVING}
    probe.missing = True
    await eventually(health, "demo.v1.Notes", NOT_SERVING)
    assert health.status("demo.v1.Plans") == NOT_SERVING
    assert health.status("demo.v1.Free") == SERVING
    assert health.status(OVERALL) == NOT_SERVING
    probe.missing = False
    await eventually(health, OVERALL, SERVING)
    await health.close()


async def test_a_check_shared_by_services_runs_once_a_round() -> None:
    health = health_of(probe := Probe())
    await health.start()
    assert probe.asked == 1
    await health.close()


async def test_a_short_failure_changes_nothing() -> None:
    health = health_of(probe := Probe(), tolerance=timedelta(seconds=30))
    await health.start()
    probe.missing = True
    await asyncio.sleep(0.05)
    assert probe.asked >= 2
    assert health.status(OVERALL) == SERVING
    await health.close()


async def test_what_never_passed_does_not_serve_however_tolerant() -> None:
    probe = Probe()
    probe.missing = True
    health = health_of(probe, tolerance=timedelta(seconds=30))
    await health.start()
    assert health.status(OVERALL) == NOT_SERVING
    await health.close()


async def test_a_check_that_hangs_has_failed() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    health = Health({"demo": [Check("hangs", hang, tolerance=timedelta(0), timeout=SOON)]}, interval=SOON)
    await health.start()
    assert health.status("demo") == NOT_SERVING
    await health.close()


async def test_draining_is_for_good() -> None:
    health = health_of(Probe())
    await health.start()
    health.set_draining()
    assert set(health.statuses().values()) == {NOT_SERVING}
    await asyncio.sleep(0.03)
    assert set(health.statuses().values()) == {NOT_SERVING}
    await health.close()


async def test_a_watch_says_the_status_now_and_each_change_until_closed() -> None:
    health = health_of(Probe())
    seen: list[int] = []

    async def watch() -> None:
        seen.extend([status async for status in health.watch(OVERALL)])

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await health.start()
    await asyncio.sleep(0.03)
    health.set_draining()
    await asyncio.sleep(0.03)
    await health.close()
    await asyncio.wait_for(watching, 1)
    assert seen == [NOT_SERVING, SERVING, NOT_SERVING]


async def test_an_unknown_name_is_unknown() -> None:
    health = health_of(Probe())
    assert health.status("tenant-acme") is None
    async with aclosing(health.watch("tenant-acme")) as statuses:
        assert await anext(statuses) == SERVICE_UNKNOWN


@pytest.mark.parametrize("watchers", [200])
async def test_every_watcher_hears_of_a_change(watchers: int) -> None:
    health = health_of(Probe())
    waiting = [asyncio.create_task(eventually(health, OVERALL, SERVING)) for _ in range(watchers)]
    await asyncio.sleep(0)
    await health.start()
    await asyncio.gather(*waiting)
    assert health.status(OVERALL) == SERVING
    await health.close()


async def test_the_log_tells_each_change_of_a_check_once_and_nothing_at_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "tenantmesh.runtime.health.checks")
    health = health_of(probe := Probe())
    await health.start()
    assert not caplog.messages
    probe.missing = True
    await eventually(health, OVERALL, NOT_SERVING)
    probe.missing = False
    await eventually(health, OVERALL, SERVING)
    await health.close()
    assert caplog.messages == [
        'health check "database" began to fail: ConnectionError',
        'health check "database" passed',
    ]
