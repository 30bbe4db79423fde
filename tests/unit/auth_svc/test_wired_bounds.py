"""Bounds of signing in reach their parts from the settings, each in its own place."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest

from tenantmesh.auth_svc.passwords import wiring as passwords
from tenantmesh.auth_svc.resources import AuthResources
from tenantmesh.auth_svc.sessions import wiring as sessions
from tenantmesh.auth_svc.sessions.failures import FailureLimits
from tenantmesh.auth_svc.settings import AuthSettings
from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.interceptors.limits import Rate
from tenantmesh.runtime.encryption import KeyEncryptionKey
from tenantmesh.runtime.telemetry import Telemetry

NOTHING: Any = None


def resources(**groups: dict[str, Any]) -> AuthResources:
    """The resources of a process with these settings, which can be wired and not used."""
    needed = {"mesh": {"credential": "tmk_a-key"}, "tokens": {"kek_file": "kek"}}
    settings = AuthSettings.model_validate({**needed, **groups})
    return AuthResources(
        settings=settings,
        doors=NOTHING,
        redis=Mock(),
        kek=KeyEncryptionKey(bytes(32)),
        tenants=NOTHING,
        tenant_source=NOTHING,
        telemetry=Telemetry(settings.telemetry, "auth_svc"),
    )


async def test_a_tenant_has_the_places_to_hash_that_are_set() -> None:
    hashing = passwords.build(resources(hashing={"tenant_places": 2, "places": 3})).hashing
    waiting: list[asyncio.Task[str]] = []

    async def turn(tenant: str) -> str:
        try:
            async with hashing.turn(tenant, "192.0.2.1"):
                await asyncio.sleep(3600)
        except ResourceExhausted as refused:
            return refused.reason
        return "served"

    async def refused_after(*tenants: str) -> int:
        waiting.extend(asyncio.ensure_future(turn(tenant)) for tenant in tenants)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return hashing.counts.refused

    while not hashing.waiting:  # the turns themselves
        await refused_after("a")
    assert await refused_after("a") == 0
    assert await refused_after("a") == 1
    assert await refused_after("b") == 1
    assert await refused_after("c") == 2
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await hashing.close()


def test_failed_sign_ins_have_the_limits_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(sessions, "FailedLogins", lambda *parts: given.extend(parts))
    made = resources(logins={"failures": "2/30", "address_failures": "0.5/4"})
    sessions.build(made, NOTHING, NOTHING)
    assert FailureLimits(tenant=Rate(2, 30), address=Rate(0.5, 4)) in given
