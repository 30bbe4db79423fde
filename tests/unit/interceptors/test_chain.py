"""The list of links, what a chain refuses at start, and its defaults."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from notes.v1 import notes_service_pb2

from tenantmesh.interceptors.chain import DENYING, LINKS, Chain, ChainPorts, ChainSettings
from tenantmesh.interceptors.errors import (
    PermissionDenied,
)
from tenantmesh.interceptors.policy import PolicyError
from tenantmesh.interceptors.testing import TestMesh, TokenSigner
from tenantmesh.tenant.v1 import tenant_service_pb2
from tests.unit.interceptors.calls import call

ROOT = Path(__file__).resolve().parents[3]


def test_the_order_of_the_chain() -> None:
    names = [row.name for row in LINKS]
    assert names == [
        "request_id", "telemetry", "error_boundary", "deadline", "metadata_hygiene", "forwarded_origin", "peer_limit",
        "authentication", "tenancy", "authorization", "in_flight", "usage", "audit", "entitlement", "tenant_limit",
        "quota",
    ]  # fmt: skip
    for outer, inner in (
        ("telemetry", "error_boundary"),
        ("error_boundary", "deadline"),
        ("metadata_hygiene", "authentication"),
        ("peer_limit", "authentication"),
        ("authentication", "tenancy"),
        ("tenancy", "authorization"),
        ("authorization", "in_flight"),
        ("in_flight", "entitlement"),
        ("usage", "entitlement"),
        ("tenant_limit", "quota"),
    ):
        assert names.index(outer) < names.index(inner), f"{inner} must be inside of {outer}"
    assert all(row.reason for row in LINKS)
    assert all(row.build or row.port for row in LINKS), "a place that is kept names its port"


def test_a_policy_that_cant_be_kept_is_refused_at_start() -> None:
    services = tenant_service_pb2.DESCRIPTOR.services_by_name.values()
    with pytest.raises(PolicyError, match="tenant directory"):
        Chain(services, ChainPorts(tokens=TokenSigner().verifier()))
    with pytest.raises(PolicyError, match="ForgottenNote has no policy"):
        Chain(notes_service_pb2.DESCRIPTOR.services_by_name.values(), TestMesh().ports())


@pytest.mark.parametrize("default", ["concurrency", "rates", "roles"])
def test_no_chain_can_change_the_defaults_of_another(default: str) -> None:
    mapping: Any = getattr(ChainSettings(), default)
    with pytest.raises(TypeError, match="does not support item"):
        mapping["mine"] = None
    assert "mine" not in getattr(ChainSettings(), default)


def test_identities_are_those_of_one_chain() -> None:
    one: Any = ChainSettings().identities
    one["spiffe://example.test/billing"] = None
    assert not ChainSettings().identities


def test_a_method_without_a_policy_passes_links_that_exist_and_is_refused() -> None:
    assert {row.name for row in LINKS} >= DENYING
    chain = Chain((), ChainPorts())
    known = chain.find("/grpc.health.v1.Health/Check")
    denied = chain.find("/x.Y/Z")
    assert len(denied.enters) == 2, "the request id, and the refusal"
    assert len(denied.unwind[1]) == 2, "telemetry and the error boundary"
    assert denied.unwind[1] == known.unwind[1]
    with pytest.raises(PermissionDenied) as caught:
        denied.enters[-1](call())
    assert caught.value.reason == "POLICY_MISSING"


def test_every_link_is_kept_apart_from_the_others() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (apart,) = [each["modules"] for each in contracts if each["name"].startswith("links know ports")]
    modules = {path.stem for path in (ROOT / "interceptors" / "links").glob("*.py")} - {"__init__"}
    assert {module.rpartition(".")[2] for module in apart} == modules - {"rate_gate", "outcome"}
