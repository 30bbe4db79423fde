"""What the mesh is for, as each of its users does it: over gRPC at the services and the edge, and over REST."""

from __future__ import annotations

import asyncio
import uuid

from tests.fixtures.mesh import AUTH, PASSWORD, TENANTS, Mesh, World
from tests.transports import RestTransport, Transport


async def test_from_a_new_tenant_to_an_authorised_call(mesh: Mesh, transport: Transport) -> None:
    slug = f"main-{uuid.uuid4().hex[:10]}"
    created = await transport.call(
        f"{TENANTS}/CreateTenant",
        {"slug": slug, "displayName": "Main Job", "planId": "premium"},
        token=mesh.operator_key,
    )
    assert created.code == "OK", created
    assert {key: created.body[key] for key in ("slug", "displayName", "planId", "state")} == {
        "slug": slug,
        "displayName": "Main Job",
        "planId": "premium",
        "state": "TENANT_STATE_ACTIVE",
    }
    here = [("x-tenant-slug", slug)]
    account = {"email": "Ada@People.example", "password": PASSWORD}
    assert (await transport.call(f"{AUTH}/Register", account, metadata=here)).body == {"email": "Ada@People.example"}
    login = await transport.call(f"{AUTH}/Login", account, metadata=here)
    assert login.body["expiresIn"] == 300
    assert login.body["user"]["tenantId"] == created.body["id"]

    own = await transport.call(f"{TENANTS}/GetTenant", {"id": slug}, token=login.body["accessToken"])
    assert own.body["id"] == created.body["id"]
    me = await transport.call(f"{AUTH}/GetMe", token=login.body["accessToken"])
    assert me.body == login.body["user"]


async def test_calls_without_a_good_credential_are_refused(transport: Transport, world: World) -> None:
    tenant = await world.tenant()
    method, request = f"{TENANTS}/GetTenant", {"id": tenant.slug}
    anonymous = await transport.call(method, request)
    assert (anonymous.code, anonymous.reason) == ("UNAUTHENTICATED", "CREDENTIALS_MISSING")
    for bad in ("nonsense", "a.b.c", "tmk_unknown", "tmk_" + "0" * 60):
        refused = await transport.call(method, request, token=bad)
        assert (refused.code, refused.reason) == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")
        assert bad not in refused.message


async def test_a_foreign_tenant_answers_as_a_missing_one(transport: Transport, world: World) -> None:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")
    ada = await world.user(acme)
    method = f"{TENANTS}/GetTenant"
    answers = [
        await transport.call(method, {"id": name}, token=ada.token)
        for name in (globex.id, globex.slug, str(uuid.uuid4()), "nobody-at-all", "NOT A SLUG")
    ]
    assert {(each.code, each.reason, each.message, str(each.details)) for each in answers} == {
        (answers[0].code, "TENANT_NOT_FOUND", answers[0].message, str(answers[0].details))
    }
    assert answers[0].code == "NOT_FOUND"


async def test_sources_that_name_another_tenant_are_refused(transport: Transport, world: World) -> None:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")
    ada = await world.user(acme)
    for source in (("x-tenant-slug", globex.slug), ("x-tenant-id", globex.id), ("x-tenant-slug", "nobody-here")):
        refused = await transport.call(f"{AUTH}/GetMe", token=ada.token, metadata=[source])
        assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "TENANT_MISMATCH")
    agreeing = [("x-tenant-slug", acme.slug), ("x-tenant-id", acme.id)]
    assert (await transport.call(f"{AUTH}/GetMe", token=ada.token, metadata=agreeing)).code == "OK"


async def test_sources_that_disagree_select_nothing(transport: Transport, world: World) -> None:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")
    login = {"email": "x@people.example", "password": PASSWORD}
    both = [("x-tenant-slug", acme.slug), ("x-tenant-id", globex.id)]
    refused = await transport.call(f"{AUTH}/Login", login, metadata=both)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "TENANT_CONFLICT")
    none = await transport.call(f"{AUTH}/Login", login)
    assert (none.code, none.reason) == ("INVALID_ARGUMENT", "TENANT_REQUIRED")


async def test_the_same_address_in_two_tenants_is_two_people(transport: Transport, world: World) -> None:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")
    one, other = await world.user(acme, "sam@people.example"), await world.user(globex, "sam@people.example")
    assert one.id != other.id
    for user in (one, other):
        assert (await transport.call(f"{AUTH}/GetMe", token=user.token)).body["tenantId"] == user.tenant.id


async def test_login_does_not_tell_unknown_from_wrong(transport: Transport, world: World) -> None:
    acme = await world.tenant("acme")
    ada = await world.user(acme)
    here = [("x-tenant-slug", acme.slug)]
    wrong = await transport.call(f"{AUTH}/Login", {"email": ada.email, "password": "not it at all"}, metadata=here)
    unknown = await transport.call(f"{AUTH}/Login", {"email": "no@people.example", "password": "x" * 20}, metadata=here)
    assert (wrong.code, wrong.reason) == ("UNAUTHENTICATED", "INVALID_CREDENTIALS")
    assert (wrong.message, wrong.details) == (unknown.message, unknown.details)
    again = await transport.call(f"{AUTH}/Register", {"email": ada.email, "password": PASSWORD}, metadata=here)
    fresh = await transport.call(
        f"{AUTH}/Register", {"email": "new@people.example", "password": PASSWORD}, metadata=here
    )
    assert (again.code, fresh.code) == ("OK", "OK")
    assert again.body == {"email": ada.email}


async def test_a_refresh_token_works_once_and_its_reuse_ends_nothing_within_grace(
    transport: Transport, world: World
) -> None:
    acme = await world.tenant("acme")
    ada = await world.user(acme)
    request = {"refreshToken": ada.refresh_token}
    first = await transport.call(f"{AUTH}/RefreshToken", request)
    again = await transport.call(f"{AUTH}/RefreshToken", request)
    assert first.code == again.code == "OK"
    assert first.body["refreshToken"] == again.body["refreshToken"] != ada.refresh_token
    assert (await transport.call(f"{AUTH}/GetMe", token=first.body["accessToken"])).body["id"] == ada.id
    # A tab that is slower still goes on with the token that is active by now, and ends nobody's session with it.
    second = await transport.call(f"{AUTH}/RefreshToken", {"refreshToken": first.body["refreshToken"]})
    late = await transport.call(f"{AUTH}/RefreshToken", request)
    assert late.body["refreshToken"] == second.body["refreshToken"] != first.body["refreshToken"]
    unknown = await transport.call(f"{AUTH}/RefreshToken", {"refreshToken": "tmr_nothing"})
    assert (unknown.code, unknown.reason) == ("UNAUTHENTICATED", "SESSION_ENDED")


async def test_users_are_not_operators(transport: Transport, world: World) -> None:
    acme = await world.tenant("acme")
    ada = await world.user(acme)
    for method in ("CreateTenant", "ListTenants", "SuspendTenant", "ResumeTenant", "ResolveTenant"):
        request = {"id": acme.slug, "reason": "x"} if method == "SuspendTenant" else {}
        request = {"id": acme.slug} if method == "ResumeTenant" else request
        refused = await transport.call(f"{TENANTS}/{method}", request, token=ada.token)
        assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "AUDIENCE_NOT_ALLOWED"), method


async def test_suspension_reaches_both_services(mesh: Mesh, transport: Transport, world: World) -> None:
    acme = await world.tenant("acme")
    ada = await world.user(acme)
    own = f"{TENANTS}/GetTenant", {"id": acme.slug}
    assert (await transport.call(*own, token=ada.token)).code == "OK"
    assert (await transport.call(f"{AUTH}/GetMe", token=ada.token)).code == "OK"
    suspended = await transport.call(
        f"{TENANTS}/SuspendTenant", {"id": acme.slug, "reason": "unpaid"}, token=mesh.operator_key
    )
    assert suspended.body["state"] == "TENANT_STATE_SUSPENDED"
    for method, request in (own, (f"{AUTH}/GetMe", {})):
        refused = await _eventually(transport, method, request, ada.token, "TENANT_SUSPENDED")
        assert refused == "PERMISSION_DENIED"
    login = {"email": ada.email, "password": PASSWORD}
    at_the_door = await transport.call(f"{AUTH}/Login", login, metadata=[("x-tenant-slug", acme.slug)])
    assert at_the_door.reason == "TENANT_SUSPENDED"
    assert (await transport.call(*own, token=mesh.operator_key)).code == "OK", "operators are served"
    resumed = await transport.call(f"{TENANTS}/ResumeTenant", {"id": acme.slug}, token=mesh.operator_key)
    assert resumed.body["state"] == "TENANT_STATE_ACTIVE"
    assert await _eventually(transport, *own, ada.token, "") == "OK"


async def _eventually(transport: Transport, method: str, request: dict[str, str], token: str, reason: str) -> str:
    """The code, once the reason is this one; changes travel by a stream and get five seconds."""
    async with asyncio.timeout(5):
        while True:
            answer = await transport.call(method, request, token=token)
            if answer.reason == reason:
                return answer.code
            await asyncio.sleep(0.02)


async def test_creating_twice_with_one_request_id_creates_once(mesh: Mesh, transport: Transport) -> None:
    request = {"slug": f"once-{uuid.uuid4().hex[:10]}", "requestId": str(uuid.uuid4())}
    method = f"{TENANTS}/CreateTenant"
    first = await transport.call(method, request, token=mesh.operator_key)
    second = await transport.call(method, request, token=mesh.operator_key)
    assert first.body == second.body
    other = await transport.call(method, {**request, "slug": "another-slug"}, token=mesh.operator_key)
    assert other.reason == "REQUEST_ID_REUSED"
    taken = await transport.call(method, {"slug": request["slug"]}, token=mesh.operator_key)
    assert (taken.code, taken.reason) == ("ALREADY_EXISTS", "SLUG_TAKEN")


async def test_tenants_are_listed_a_page_at_a_time(mesh: Mesh, transport: Transport, world: World) -> None:
    made = [await world.tenant("page") for _ in range(3)]
    seen, token = [], ""
    while True:
        page = await transport.call(
            f"{TENANTS}/ListTenants", {"pageSize": 2, "pageToken": token}, token=mesh.operator_key
        )
        assert len(page.body["tenants"]) <= 2
        seen += [tenant["id"] for tenant in page.body["tenants"]]
        token = page.body["nextPageToken"]
        if not token:
            break
    assert len(seen) == len(set(seen))
    assert {tenant.id for tenant in made} <= set(seen)


async def test_fields_that_break_their_rules_are_all_named(mesh: Mesh, transport: Transport) -> None:
    refused = await transport.call(
        f"{TENANTS}/CreateTenant", {"slug": "Not A Slug", "planId": "No Plan"}, token=mesh.operator_key
    )
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    violations = next(each["fieldViolations"] for each in refused.details if "fieldViolations" in each)
    plan = "planId" if isinstance(transport, RestTransport) else "plan_id"
    assert {each["field"] for each in violations} == {"slug", plan}
    assert all(f"{each['field']}: {each['description']}" in refused.message for each in violations)
