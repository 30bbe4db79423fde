"""Somebody without an account adds a tenant's login host or e-mail domain by a link: over every transport."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from typing import Any

import pytest

from tenantmesh.auth_svc.api_keys.bootstrap import create_key, revoke_key
from tenantmesh.deploy.stack import keys
from tests.behaviour.test_login_hosts import until
from tests.fixtures.mesh import SETUP_LINKS, Mesh, Tenant, World
from tests.transports import Answer, Transport

HOSTS = "tenantmesh.tenant.v1.LoginHostService"
DOMAINS = "tenantmesh.tenant.v1.EmailDomainService"


def unused() -> str:
    return f"login.n{uuid.uuid4().hex[:12]}.net"


async def link(transport: Transport, mesh: Mesh, tenant: Tenant, intent: str = "LOGIN_HOST", **more: Any) -> Answer:
    asked = {"id": tenant.id, "intent": f"SETUP_INTENT_{intent}", "note": "for IT", **more}
    return await transport.call(f"{SETUP_LINKS}/CreateSetupLink", asked, token=mesh.operator_key)


async def redeem(transport: Transport, token: str, name: str) -> Answer:
    return await transport.call(f"{SETUP_LINKS}/RedeemSetupLink", {"token": token, "name": name})


@pytest.mark.parametrize(
    ("intent", "method", "key"),
    [("LOGIN_HOST", f"{HOSTS}/GetLoginHost", "host"), ("EMAIL_DOMAIN", f"{DOMAINS}/GetEmailDomain", "domain")],
)
async def test_a_link_adds_one_name_in_its_tenant_and_says_by_whom(
    transport: Transport, mesh: Mesh, world: World, intent: str, method: str, key: str
) -> None:
    acme, globex = await world.tenant(), await world.tenant()
    made = (await link(transport, mesh, acme, intent)).body
    token = made["token"]
    assert made["uri"].partition("#")[2] == token
    assert token not in str(made["setupLink"])
    seen = await transport.call(f"{SETUP_LINKS}/GetSetupLink", {"token": token})
    assert (seen.body["intent"], seen.body["note"]) == (f"SETUP_INTENT_{intent}", "for IT")
    name = unused()
    done = await redeem(transport, token, name.upper())
    assert done.code == "OK", done
    assert (done.body["name"], name in done.body["dnsName"], bool(done.body["dnsValue"])) == (name, True, True)
    added = await transport.call(method, {"id": acme.id, key: name}, token=mesh.operator_key)
    maker = made["setupLink"]["actor"]
    assert added.body["actor"] == f"through link {made['setupLink']['setupLinkId']} by {maker}"
    assert added.body["proof"]["dnsValue"] == done.body["dnsValue"]
    assert (await transport.call(method, {"id": globex.id, key: name}, token=mesh.operator_key)).code == "NOT_FOUND"
    again = [await redeem(transport, token, unused()), await redeem(transport, "tml_" + "A" * 43, unused())]
    assert [(each.code, each.reason) for each in again] == [("NOT_FOUND", "SETUP_LINK_INVALID")] * 2
    assert again[0].message == again[1].message


async def test_a_key_that_is_revoked_takes_its_links_with_it(transport: Transport, mesh: Mesh, world: World) -> None:
    acme, settings = await world.tenant(), keys.settings(mesh.stack.engines.postgres)
    name = f"onboarding-{uuid.uuid4().hex[:8]}"
    key = await create_key(settings, name, "OPERATOR", ["setup_links.create", "login_hosts.write"])
    asked = {"id": acme.id, "intent": "SETUP_INTENT_LOGIN_HOST", "lifetime": "3600s"}
    theirs, ours = [
        (await transport.call(f"{SETUP_LINKS}/CreateSetupLink", asked, token=credential)).body["token"]
        for credential in (key, mesh.operator_key)
    ]
    assert (await transport.call(f"{SETUP_LINKS}/GetSetupLink", {"token": theirs})).code == "OK"
    assert await revoke_key(settings, uuid.UUID(key.split("_")[1]))
    seen = await transport.call(f"{SETUP_LINKS}/GetSetupLink", {"token": theirs})
    for refused in (seen, await redeem(transport, theirs, unused())):
        assert (refused.code, refused.reason) == ("NOT_FOUND", "SETUP_LINK_INVALID")
    assert (await redeem(transport, ours, unused())).code == "OK"


async def test_of_fifty_uses_at_once_one_succeeds(transport: Transport, mesh: Mesh, world: World) -> None:
    acme = await world.tenant()
    token = (await link(transport, mesh, acme)).body["token"]
    answers = await asyncio.gather(*(redeem(transport, token, unused()) for _ in range(50)))
    assert Counter(answer.code for answer in answers)["OK"] == 1
    assert {answer.reason for answer in answers} <= {"", "SETUP_LINK_INVALID", "DATABASE_BUSY", "TOO_MANY_IN_FLIGHT"}
    hosts = await transport.call(f"{HOSTS}/ListLoginHosts", {"id": acme.id}, token=mesh.operator_key)
    assert len(hosts.body["loginHosts"]) == 1


async def test_a_refused_name_leaves_the_link_and_revoking_ends_it(
    transport: Transport, mesh: Mesh, world: World
) -> None:
    acme = await world.tenant()
    made = (await link(transport, mesh, acme)).body
    for name in ("co.uk", "no name", "x" * 10_000, "login\u202e.acme.net", ""):
        refused = await redeem(transport, made["token"], name)
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), name[:50]
        assert "name" in refused.message
    named = {"id": acme.id, "setupLinkId": made["setupLink"]["setupLinkId"]}
    revoked = await transport.call(f"{SETUP_LINKS}/RevokeSetupLink", named, token=mesh.operator_key)
    assert revoked.body["state"] == "SETUP_LINK_STATE_REVOKED"
    assert (await redeem(transport, made["token"], unused())).reason == "SETUP_LINK_INVALID"
    listed = await transport.call(f"{SETUP_LINKS}/ListSetupLinks", {"id": acme.id}, token=mesh.operator_key)
    assert [each["state"] for each in listed.body["setupLinks"]] == ["SETUP_LINK_STATE_REVOKED"]
    assert made["token"] not in str(listed.body)


@pytest.mark.parametrize(
    "more", [{"intent": "UNSPECIFIED"}, {"lifetime": "3601s"}, {"lifetime": "0s"}, {"note": "a\nb"}]
)
async def test_bad_links_are_refused(transport: Transport, mesh: Mesh, world: World, more: dict[str, Any]) -> None:
    answer = await link(transport, mesh, await world.tenant(), **more)
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_a_member_makes_no_links(transport: Transport, world: World) -> None:
    user = await world.user(await world.tenant())
    asked = {"id": user.tenant.id, "intent": "SETUP_INTENT_LOGIN_HOST"}
    answer = await transport.call(f"{SETUP_LINKS}/CreateSetupLink", asked, token=user.token)
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")


async def test_a_link_is_good_for_its_intent_and_its_tenant_alone(
    transport: Transport, mesh: Mesh, world: World
) -> None:
    """Whatever tenant the call names, and whatever else its body asks for."""
    acme, globex = await world.tenant(), await world.tenant()
    token, name = (await link(transport, mesh, acme, "EMAIL_DOMAIN")).body["token"], unused()
    method, body = f"{SETUP_LINKS}/RedeemSetupLink", {"token": token, "name": name}
    for other in ([("x-tenant-slug", globex.slug)], [("x-tenant-id", globex.id)]):
        looked = await transport.call(f"{SETUP_LINKS}/GetSetupLink", {"token": token}, metadata=other)
        assert looked.body["tenantDisplayName"] == acme.slug
    done = await transport.call(method, body, metadata=[("x-tenant-slug", globex.slug)])
    assert (done.code, done.body.get("intent")) == ("OK", "SETUP_INTENT_EMAIL_DOMAIN")
    for tenant, domains in ((acme, [name]), (globex, [])):
        listed = await transport.call(f"{DOMAINS}/ListEmailDomains", {"id": tenant.id}, token=mesh.operator_key)
        assert [each["domain"] for each in listed.body["emailDomains"]] == domains
        hosts = await transport.call(f"{HOSTS}/ListLoginHosts", {"id": tenant.id}, token=mesh.operator_key)
        assert hosts.body["loginHosts"] == []


async def test_an_expired_link_answers_as_a_used_one(transport: Transport, mesh: Mesh, world: World) -> None:
    acme = await world.tenant()
    token = (await link(transport, mesh, acme, lifetime="1s")).body["token"]

    async def expired() -> bool:
        return (await transport.call(f"{SETUP_LINKS}/GetSetupLink", {"token": token})).code == "NOT_FOUND"

    await until(expired)
    used = (await link(transport, mesh, acme)).body["token"]
    assert (await redeem(transport, used, unused())).code == "OK"
    answers = [await redeem(transport, each, unused()) for each in (token, used)]
    assert {(each.code, each.reason, each.message) for each in answers} == {
        ("NOT_FOUND", "SETUP_LINK_INVALID", answers[0].message)
    }
    listed = await transport.call(f"{SETUP_LINKS}/ListSetupLinks", {"id": acme.id}, token=mesh.operator_key)
    assert [each["state"] for each in listed.body["setupLinks"]] == [
        "SETUP_LINK_STATE_USED",
        "SETUP_LINK_STATE_EXPIRED",
    ]
    hosts = await transport.call(f"{HOSTS}/ListLoginHosts", {"id": acme.id}, token=mesh.operator_key)
    assert len(hosts.body["loginHosts"]) == 1


async def test_links_lead_to_the_page_of_the_installation_wherever_the_call_came_from(
    transport: Transport, mesh: Mesh, world: World
) -> None:
    acme = await world.tenant()
    asked = {"id": acme.id, "intent": "SETUP_INTENT_LOGIN_HOST"}
    forged = [("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "gopher")]
    for metadata in ((), forged):
        made = await transport.call(f"{SETUP_LINKS}/CreateSetupLink", asked, token=mesh.operator_key, metadata=metadata)
        assert made.body["uri"] == f"http://127.0.0.1:8080/set-up#{made.body['token']}", made
