"""A tenant is served under a host of its own, once it has proven it, and until its proof is gone."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import grpc
import pytest

from tests.dns_server import NameServer
from tests.fixtures.mesh import AUTH, EMAIL_DOMAINS, LOGIN_HOSTS, PASSWORD, TENANTS, Mesh, Tenant, World
from tests.fixtures.stack import NONE
from tests.transports import GrpcTransport, RestTransport, Transport

STATE = "PROOF_STATE_"


def unused() -> str:
    return f"h{uuid.uuid4().hex[:16]}.hosts.test"


async def until(reached: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
    """The first true answer; a check is made within a moment, and a stale directory learns within a second."""
    async with asyncio.timeout(seconds):
        while not (answer := await reached()):
            await asyncio.sleep(0.05)
    return answer


class Names:
    """The names of one kind, of one tenant, as a client with one credential sees them."""

    def __init__(self, transport: Transport, service: str, tenant: Tenant, token: str) -> None:
        self._transport, self._service, self._tenant, self._token = transport, service, tenant, token
        self.noun = service.rpartition(".")[2].removesuffix("Service")
        self.field = "host" if self.noun == "LoginHost" else "domain"

    async def call(self, verb: str, name: str = "", fields: Mapping[str, Any] = NONE) -> Any:
        request = {"id": self._tenant.id, **({self.field: name} if name else {}), **fields}
        return await self._transport.call(f"{self._service}/{verb}", request, token=self._token)

    async def proof(self, name: str) -> dict[str, Any]:
        answer = await self.call(f"Get{self.noun}", name)
        assert answer.code == "OK", answer
        return dict(answer.body["proof"])

    async def reaches(self, name: str, state: str, reason: str = "") -> dict[str, Any]:
        """The proof once it is in the state, after a check that was asked for."""
        asked = await self.call(f"Verify{self.noun}", name)
        assert asked.code == "OK", asked

        async def reached() -> dict[str, Any] | None:
            proof = await self.proof(name)
            there = proof["state"] == STATE + state and proof["reason"].endswith(reason)
            return proof if there else None

        found: dict[str, Any] = await until(reached)
        return found

    async def verified(self, zone: NameServer, name: str) -> dict[str, Any]:
        added = await self.call(f"Create{self.noun}", name)
        assert added.code == "OK", added
        zone.txt(added.body["proof"]["dnsName"], added.body["proof"]["dnsValue"])
        return await self.reaches(name, "VERIFIED")


def of_operator(transport: Transport, mesh: Mesh, tenant: Tenant, service: str = LOGIN_HOSTS) -> Names:
    return Names(transport, service, tenant, mesh.operator_key)


async def login_at(mesh: Mesh, host: str) -> tuple[int, str]:
    """The status of a login over REST at the host, and the reason of its refusal."""
    rest = RestTransport(mesh.edge_target)
    body = json.dumps({"email": "nobody@people.example", "password": PASSWORD}).encode()
    status, _, text = await asyncio.to_thread(rest.send, "POST", "/api/v1/auth/login", [("host", host)], body)
    details = json.loads(text).get("details", [])
    return status, next((each["reason"] for each in details if "reason" in each), "")


FOUND, UNKNOWN = (401, "INVALID_CREDENTIALS"), (400, "TENANT_REQUIRED")


@pytest.mark.parametrize("service", [LOGIN_HOSTS, EMAIL_DOMAINS])
async def test_a_name_is_added_proven_listed_and_removed(
    mesh: Mesh, transport: Transport, world: World, zone: NameServer, service: str
) -> None:
    acme = await world.tenant("acme")
    names, name = of_operator(transport, mesh, acme, service), unused()
    added = await names.call(f"Create{names.noun}", name.upper())
    proof = added.body["proof"]
    assert added.body[names.field] == name
    assert (proof["state"], proof["reason"]) == (f"{STATE}PENDING", "PROOF_REASON_NOT_CHECKED")
    assert proof["dnsName"] == f"_tenantmesh.{name}"
    assert proof["dnsValue"].startswith("tenantmesh-proof=")
    assert bool(proof["httpUrl"]) is (service == LOGIN_HOSTS)
    assert (await names.reaches(name, "PENDING", "NO_RECORD"))["lastCheck"]["detail"]
    zone.txt(proof["dnsName"], proof["dnsValue"])
    verified = await names.reaches(name, "VERIFIED")
    assert verified["reason"] == "PROOF_REASON_PROVEN_BY_DNS"
    assert [change["state"] for change in verified["history"]] == [f"{STATE}VERIFIED"]
    listed = await names.call(f"List{names.noun}s")
    (items,) = (value for value in listed.body.values() if isinstance(value, list))
    assert [item[names.field] for item in items] == [name]
    assert (await names.call(f"Delete{names.noun}", name)).code == "OK"
    gone = await names.call(f"Get{names.noun}", name)
    assert (gone.code, gone.reason.endswith("_NOT_FOUND")) == ("NOT_FOUND", True)


@pytest.mark.parametrize("service", [LOGIN_HOSTS, EMAIL_DOMAINS])
async def test_bad_names_are_refused_with_the_reason(
    mesh: Mesh, transport: Transport, world: World, service: str
) -> None:
    names = of_operator(transport, mesh, await world.tenant("acme"), service)
    for bad, words in (
        ("acme.localhost", "name of this installation"),
        ("co.uk", "public suffix"),
        ("127.0.0.1", "no IP address"),
        ("app\u202e.acme.com", "IDNA 2008"),
        ("x" * 100_000, "at most 253"),
    ):
        refused = await names.call(f"Create{names.noun}", bad)
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), bad
        assert words in str(refused.details), bad
    mail = await names.call(f"Create{names.noun}", "gmail.com")
    assert (mail.code == "OK") is (service == LOGIN_HOSTS)
    batch = await names.call(f"BatchCreate{names.noun}s", fields={f"{names.field}s": [unused(), "co.uk"]})
    assert f"{names.field}s[1]" in str(batch.details)


async def test_administrators_do_it_themselves_and_members_do_not(
    mesh: Mesh, transport: Transport, world: World
) -> None:
    acme = await world.tenant("acme")
    member = Names(transport, LOGIN_HOSTS, acme, (await world.user(acme)).token)
    refused = await member.call("CreateLoginHost", unused())
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")


async def test_a_verified_host_is_the_tenants_in_every_process_until_its_proof_is_gone(
    mesh: Mesh, transport: Transport, world: World, zone: NameServer
) -> None:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")
    ada, grace = await world.user(acme), await world.user(globex)
    names, host = of_operator(transport, mesh, acme), unused()
    assert await login_at(mesh, host) == UNKNOWN  # and remembered as unknown
    await names.verified(zone, host)
    await until(lambda: _is(login_at(mesh, host), FOUND), 5)
    for spelling in (host.upper(), f"{host}.", f"{host}:8080"):
        assert await login_at(mesh, spelling) == FOUND

    assert await me_at(mesh, host, ada.token) == (200, "")
    assert await me_at(mesh, host, grace.token) == (403, "TENANT_MISMATCH")
    assert await me_at(mesh, unused(), grace.token) == (200, "")
    tenant = await transport.call(f"{TENANTS}/GetTenant", {"id": acme.id}, token=mesh.operator_key)
    assert (tenant.body["loginHosts"], tenant.body["primaryLoginHost"]) == ([host], host)

    zone.remove(f"_tenantmesh.{host}")
    await names.reaches(host, "LAPSED")  # the grace of this stack is none
    await until(lambda: _is(login_at(mesh, host), UNKNOWN), 5)
    assert await me_at(mesh, host, grace.token) == (200, "")


async def test_a_host_is_the_authority_of_a_grpc_call(mesh: Mesh, world: World, zone: NameServer) -> None:
    acme = await world.tenant("acme")
    await world.user(acme, "ada@people.example")
    host = unused()
    async with GrpcTransport(mesh.edge_target, mesh.edge_target) as edge:
        await of_operator(edge, mesh, acme).verified(zone, host)
    async with GrpcTransport(mesh.edge_target, mesh.edge_target) as at_host:
        at_host._channels[mesh.edge_target] = grpc.aio.insecure_channel(
            mesh.edge_target, options=[("grpc.default_authority", host)]
        )
        account = {"email": "ada@people.example", "password": PASSWORD}

        async def signed_in() -> Any:
            answer = await at_host.call(f"{AUTH}/Login", account)
            return answer if answer.code == "OK" else None

        login = await until(signed_in, 5)
    assert login.body["user"]["tenantId"] == acme.id


async def test_a_page_proves_a_host(
    mesh: Mesh, transport: Transport, world: World, zone: NameServer, web_port: int
) -> None:
    names, host = of_operator(transport, mesh, await world.tenant("acme")), unused()
    zone.host(host, "127.0.0.1")
    added = await names.call("CreateLoginHost", host)
    text = added.body["proof"]["dnsValue"].encode()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/.well-known/tenantmesh-proof" and self.headers["host"] == host
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(text)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...

    server = HTTPServer(("127.0.0.1", web_port), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert (await names.reaches(host, "VERIFIED"))["reason"] == "PROOF_REASON_PROVEN_BY_HTTP"
    finally:
        server.shutdown()
        server.server_close()


async def test_another_tenant_takes_a_lapsed_host_and_both_read_so(
    mesh: Mesh, transport: Transport, world: World, zone: NameServer
) -> None:
    host = unused()
    acme = of_operator(transport, mesh, await world.tenant("acme"))
    globex = of_operator(transport, mesh, await world.tenant("globex"))
    await acme.verified(zone, host)
    added = await globex.call("CreateLoginHost", host)
    mine = (await acme.proof(host))["dnsValue"]
    zone.txt(f"_tenantmesh.{host}", mine, added.body["proof"]["dnsValue"])
    await globex.reaches(host, "PENDING", "IN_USE")
    zone.txt(f"_tenantmesh.{host}", added.body["proof"]["dnsValue"])
    await acme.reaches(host, "LAPSED")
    await globex.reaches(host, "VERIFIED")
    await until(lambda: _is(_reason(acme, host), "PROOF_REASON_TAKEN_OVER"))
    assert (await acme.proof(host))["state"] == f"{STATE}LAPSED"


async def test_a_deleted_tenant_holds_no_host(mesh: Mesh, transport: Transport, world: World, zone: NameServer) -> None:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")
    names, host = of_operator(transport, mesh, acme), unused()
    await names.verified(zone, host)
    await world.operate(f"{TENANTS}/DeleteTenant", {"id": acme.id})
    other = of_operator(transport, mesh, globex)
    added = await other.call("CreateLoginHost", host)
    zone.txt(f"_tenantmesh.{host}", added.body["proof"]["dnsValue"])
    await other.reaches(host, "VERIFIED")
    await world.operate(f"{TENANTS}/UndeleteTenant", {"id": acme.id})
    back = await until(lambda: _served(names, host))
    assert (back["state"], back["reason"]) == (f"{STATE}PENDING", "PROOF_REASON_WRONG_VALUE")


async def _served(names: Names, host: str) -> dict[str, Any] | None:
    """The proof once it was checked after the tenant is back."""
    answer = await names.call("GetLoginHost", host)
    found = answer.body.get("proof", {})
    return found if found.get("reason") == "PROOF_REASON_WRONG_VALUE" else None


async def _reason(names: Names, host: str) -> str:
    return str((await names.proof(host))["reason"])


async def _is(answer: Awaitable[Any], wanted: Any) -> bool:
    return bool(await answer == wanted)


async def me_at(mesh: Mesh, host: str, token: str) -> tuple[int, str]:
    """The status of GetMe over REST at the host, and the reason of its refusal."""
    headers = [("host", host), ("authorization", f"Bearer {token}")]
    status, _, text = await asyncio.to_thread(RestTransport(mesh.edge_target).send, "GET", "/api/v1/auth/me", headers)
    details = json.loads(text).get("details", [])
    return status, next((each["reason"] for each in details if "reason" in each), "")
