"""Bounds of the chain reach it from the settings, each in its own place."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from tenantmesh.chassis import chain as assembly
from tenantmesh.chassis.settings import MeshSettings, ServiceSettings
from tenantmesh.interceptors import ChainPorts, LeasedQuota, LineBound
from tenantmesh.interceptors.concurrency import Concurrency
from tenantmesh.interceptors.limits import Rate
from tenantmesh.runtime.settings import ServerSettings, TelemetrySettings
from tenantmesh.runtime.telemetry import Telemetry

NOTHING: Any = None
MIB = 1024 * 1024
SETTINGS = ServiceSettings(
    mesh=MeshSettings.model_validate(
        {
            "credential": "tmk_a-key",
            "rates": "public=5/9",
            "concurrency": "calls=3/20/4, watches=5/30/6",
            "reserve_share": 0.25,
            "reserve_time": "7s",
        }
    ),
    telemetry=TelemetrySettings.model_validate({"refusal_lines": 3, "refusal_interval": "4s", "refusal_addresses": 5}),
    server=ServerSettings.model_validate({"max_request_bytes": 2 * MIB, "max_response_bytes": 5 * MIB}),
)


def test_the_chain_has_the_bounds_of_the_settings() -> None:
    chain = assembly.make_chain([], ChainPorts(), SETTINGS, Telemetry(SETTINGS.telemetry, "demo"))
    assert {each.name: each.bound for each in chain.in_flight} == {
        "calls": Concurrency(3, 20, 4),
        "watches": Concurrency(5, 30, 6),
    }
    made = chain.settings
    assert made.rates["public"] == Rate(5, 9)
    assert made.refusal_lines == LineBound(lines=3, interval=4, addresses=5)
    assert (made.max_request_bytes, made.max_answer_bytes) == (2 * MIB, 5 * MIB)


def test_the_reserve_of_allowances_is_that_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, float] = {}

    def recorded(*ports: Any, **options: Any) -> LeasedQuota:
        given.update(options)
        return LeasedQuota(*ports, **options)

    monkeypatch.setattr(assembly, "LeasedQuota", recorded)
    ports = dict.fromkeys(("keys", "api_keys", "tenants", "entitlements", "ledger"), NOTHING)
    assembly.make_ports(SETTINGS, Telemetry(SETTINGS.telemetry, "demo"), Mock(), **ports)
    assert given == {"reserve_share": 0.25, "reserve_seconds": 7.0}
