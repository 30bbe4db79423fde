"""The limit of a gauge."""

from __future__ import annotations

import uuid

import pytest

from tenantmesh.auth_svc.gauges.gauge import USERS, GaugeFull, limit_reached, require_room
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, TenantState


@pytest.mark.parametrize(("limit", "level"), [(None, 10**9), (3, 2), (1, 0)])
def test_below_the_limit_there_is_room(limit: int | None, level: int) -> None:
    require_room(level, limit)


@pytest.mark.parametrize(("limit", "level"), [(3, 3), (3, 4), (0, 0)])
def test_a_full_gauge_says_which_it_is_whose_and_how_full(limit: int, level: int) -> None:
    tenant = TenantRecord(TenantId(uuid.uuid4()), "acme", TenantState.ACTIVE, "basic")
    with pytest.raises(GaugeFull) as full:
        require_room(level, limit)
    refused = limit_reached(USERS, full.value, tenant)
    assert refused.reason == "LIMIT_REACHED"
    assert refused.metadata == {
        "gauge": "users", "limit": str(limit), "level": str(level), "scope": "tenant", "plan": "basic",
    }  # fmt: skip
    (violation,) = refused.quota_violations
    assert (violation.subject, violation.metric, violation.limit) == (f"tenant:{tenant.id}", "users", limit)
