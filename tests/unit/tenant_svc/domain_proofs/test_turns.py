"""The turns of tenants at the checks that run at once."""

from __future__ import annotations

import uuid
from contextlib import ExitStack

import pytest

from tenantmesh.chassis.jobs.postponed import JobPostponed
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.domain_proofs.turns import TenantTurns

ACME, GLOBEX = TenantId(uuid.UUID(int=1)), TenantId(uuid.UUID(int=2))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def postponed(turns: TenantTurns, subject: str) -> float:
    """The seconds after which the check of the subject comes back."""
    with pytest.raises(JobPostponed) as caught, turns.turn(ACME, subject):
        pass
    return caught.value.pause.total_seconds()


def test_a_tenant_has_its_share_and_others_have_theirs() -> None:
    turns = TenantTurns(2, Clock())
    with turns.turn(ACME, "a"), turns.turn(ACME, "b"), turns.turn(GLOBEX, "c"):
        assert postponed(turns, "d") == 1
    with turns.turn(ACME, "d"):
        pass


def test_those_that_wait_come_back_one_after_another_as_fast_as_checks_end() -> None:
    clock = Clock()
    turns = TenantTurns(1, clock)
    with ExitStack() as held:
        held.enter_context(turns.turn(ACME, "a"))
        assert [postponed(turns, subject) for subject in ("b", "c", "d")] == [1, 1, 1]
        clock.now += 2  # the first one runs still
        assert [postponed(turns, subject) for subject in ("b", "c", "d")] == [6, 6, 6]
        clock.now += 3
    with turns.turn(ACME, "b"):
        assert postponed(turns, "c") == 10  # a check takes five seconds here, and one more waits
        assert [postponed(turns, str(number)) for number in range(30)][-1] == 60


def test_a_failed_check_gives_its_place_back_and_idle_tenants_are_forgotten() -> None:
    clock = Clock()
    turns = TenantTurns(1, clock)
    with turns.turn(ACME, "a"):
        postponed(turns, "b")
    with pytest.raises(SystemError), turns.turn(ACME, "b"):
        raise SystemError
    assert not turns._lines
    with turns.turn(ACME, "a"):
        postponed(turns, "b")  # which another worker makes
    clock.now += 100
    with turns.turn(ACME, "c"):
        pass
    assert not turns._lines
