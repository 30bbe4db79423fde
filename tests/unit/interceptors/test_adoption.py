"""What interceptors/README.md promises to those who adopt the library is what the code does."""

from __future__ import annotations

import inspect
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import NotesServiceStub, add_NotesServiceServicer_to_server

from tenantmesh.chassis.contract import CONTRACT
from tenantmesh.interceptors import ChainSettings, Mesh
from tenantmesh.interceptors.chain import LINKS
from tenantmesh.interceptors.client import retry_config
from tenantmesh.interceptors.limits import DEFAULT_RATES
from tenantmesh.interceptors.policy import TenantScope, policies_of
from tenantmesh.interceptors.testing import TestMesh
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2, plan_service_pb2
from tests.example.notes import Notes
from tests.example.serve import ROLES, serve

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "interceptors" / "README.md").read_text()


def test_the_readme_quotes_the_program_that_is_run() -> None:
    assert inspect.getsource(serve) in README


def test_it_takes_ten_lines() -> None:
    body = inspect.getsource(serve).splitlines()[2:]
    assert len(body) <= 10


def test_the_table_of_links_is_the_list_of_links() -> None:
    rows = re.findall(r"^\| \d+ \| (\w+) \| (.+) \|$", README, re.MULTILINE)
    assert rows == [(row.name, row.reason) for row in LINKS]


def test_the_rates_in_the_readme_are_the_defaults() -> None:
    written = {f"`{name}` {rate.per_second:g}/s, burst {rate.burst}" for name, rate in DEFAULT_RATES.items()}
    assert written
    assert {each for each in written if each not in README} == set()


def test_every_setting_of_the_chain_is_in_the_readme() -> None:
    missing = [name for name in ChainSettings.__dataclass_fields__ if f"| `{name}` |" not in README]
    assert not missing


async def test_the_test_kit_serves_as_the_readme_shows() -> None:
    async with TestMesh(ChainSettings(roles=ROLES)) as mesh:
        acme = mesh.add_tenant("acme")
        target = await mesh.serve(add_NotesServiceServicer_to_server, Notes(), pb.DESCRIPTOR)
        async with mesh.client(target, token=mesh.token(acme, roles=("member",))) as opened:
            stub: Any = NotesServiceStub(opened)
            answer = await stub.GetNote(pb.GetNoteRequest(text="hello"))
    assert answer.tenant_id == str(acme.id)
    served = await mesh.served(1)
    assert served == [("/notes.v1.NotesService/GetNote", "OK")]


async def offline_plans() -> tuple[list[Any], int]:
    """What the README shows of plans in tests."""
    async with TestMesh(ChainSettings(roles=ROLES)) as mesh:
        mesh.plan("basic", features=["export"], limits={"exported_notes": 2}, gauges={"users": 10})
        acme = mesh.add_tenant("acme", plan="basic")
        target = await mesh.serve(add_NotesServiceServicer_to_server, Notes(), pb.DESCRIPTOR)
        async with mesh.client(target, token=mesh.token(acme)) as opened:
            stub: Any = NotesServiceStub(opened)
            exported = [file async for file in stub.ExportNotes(pb.ExportNotesRequest(count=2))]
        used = mesh.used(acme, "exported_notes")
        mesh.entitle(acme, without=["export"], limits={"exported_notes": None})
    return exported, used


async def test_plans_are_what_a_test_says_they_are() -> None:
    shown = inspect.getsource(offline_plans).splitlines()[2:-1]
    assert "\n".join(line[4:] for line in shown) in README
    exported, used = await offline_plans()
    assert (len(exported), used) == (2, 2)


ASKED_BY_PORTS = {
    "/tenantmesh.tenant.v1.TenantService/ResolveTenant",
    "/tenantmesh.tenant.v1.TenantService/WatchTenants",
    "/tenantmesh.tenant.v1.EntitlementService/GetEntitlements",
    "/tenantmesh.tenant.v1.EntitlementService/WatchEntitlements",
    "/tenantmesh.tenant.v1.QuotaService/Lease",
    "/tenantmesh.tenant.v1.QuotaService/Return",
    "/tenantmesh.auth.v1.TokenService/IntrospectToken",
}


def test_the_key_in_the_readme_may_do_what_the_ports_ask() -> None:
    policies = policies_of(CONTRACT)
    shown = set(re.findall(r"--permission (\S+)", README))
    assert {policies[method].permission for method in ASKED_BY_PORTS} == shown


def test_what_the_ports_ask_is_answered_about_suspended_tenants() -> None:
    """Else no method of another service could be `while_suspended`: its chain would know nothing of the tenant."""
    policies = [policies_of(CONTRACT)[method] for method in ASKED_BY_PORTS]
    about_a_tenant = [each for each in policies if each.tenant_scope is not TenantScope.NONE]
    refused = [each.method for each in about_a_tenant if not each.while_suspended]
    assert not refused


def test_the_policy_in_the_readme_names_what_there_is() -> None:
    shown = re.search(r"Four lines.*?```proto\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    fields = {line.partition(":")[0] for line in shown[1].splitlines()}
    assert len(fields) == 4
    assert fields <= set(policy_pb2.MethodPolicy.DESCRIPTOR.fields_by_name)


def test_only_what_may_be_repeated_is_retried() -> None:
    """CreateGrant may with a `request_id`, which the channel gives it."""
    modules = (plan_service_pb2, entitlement_service_pb2)
    services = [each for module in modules for each in module.DESCRIPTOR.services_by_name.values()]
    (retried,) = json.loads(retry_config(services))["methodConfig"]
    names = {each["method"] for each in retried["name"]}
    assert {"GetPlan", "ArchivePlan", "SetOverride", "CreateGrant"} <= names
    assert not {"CreatePlan", "UpdatePlan", "PublishPlan", "WatchEntitlements"} & names


def test_closing_a_thread_pool_servers_interceptor_closes_the_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the loop that opened the channels: a synchronous program has no other way to reach it."""
    mesh = Mesh(tenant_target="127.0.0.1:1", auth_target="127.0.0.1:1", credential="tmk_0000000000000000")
    closed_in: list[str] = []
    close = mesh.close

    async def recorded() -> None:
        closed_in.append(threading.current_thread().name)
        await close()

    monkeypatch.setattr(mesh, "close", recorded)
    with mesh.chain(pb.DESCRIPTOR).thread_interceptor():
        assert not closed_in
    assert closed_in == ["tenantmesh-chain"]
