"""A tenant from its creation over its changes to its end, over gRPC and REST, with another tenant beside it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.fixtures.mesh import AUTH, ENTITLEMENTS, PASSWORD, TENANTS, Mesh, Tenant, World
from tests.transports import Answer, Transport

PROFILE: dict[str, Any] = {
    "labels": {"team": "emea", "tier": ""},
    "externalId": "crm:1",
    "timeZone": "Europe/Zurich",
    "locale": "de-CH",
    "currency": "CHF",
    "contacts": [
        {"type": "CONTACT_TYPE_BILLING", "displayName": "Ann", "email": "ann@acme.example", "phone": "+41446681800"}
    ],
    "deleteProtection": True,
}
LONG_AGO = "2001-01-01T00:00:00Z"
OUTPUT_ONLY: dict[str, Any] = {
    "planId": "enterprise",
    "planVersion": 2147483647,
    "state": "TENANT_STATE_DELETED",
    **dict.fromkeys(("createTime", "updateTime", "deleteTime", "purgeTime"), LONG_AGO),
    "suspension": {"reason": "x", "actor": "x", "suspendTime": LONG_AGO},
    "deletion": {"reason": "x", "actor": "x"},
    "formerSlugs": [{"slug": "acme", "resolveUntilTime": LONG_AGO}],
    "loginHosts": ["a.example"],
    "primaryLoginHost": "a.example",
}
"""Fields that a whole tenant may have, with any value: they are ignored."""
UNSEEN = ("labels", "externalId", "parentId", "deleteProtection", "formerSlugs")
"""Fields of a tenant that its users do not see."""


def slug() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


def profile() -> dict[str, Any]:
    return {**PROFILE, "externalId": f"crm:{uuid.uuid4().hex}"}


class Operator:
    """Calls TenantService as an operator."""

    def __init__(self, transport: Transport, mesh: Mesh) -> None:
        self._transport = transport
        self._key = mesh.operator_key

    async def call(self, method: str, **request: Any) -> Answer:
        return await self._transport.call(f"{TENANTS}/{method}", request, token=self._key)

    async def done(self, method: str, **request: Any) -> dict[str, Any]:
        answer = await self.call(method, **request)
        assert answer.code == "OK", answer
        return answer.body

    async def refused(self, method: str, **request: Any) -> tuple[str, str]:
        answer = await self.call(method, **request)
        return answer.code, answer.reason


@pytest.fixture
def operator(transport: Transport, mesh: Mesh) -> Operator:
    return Operator(transport, mesh)


async def eventually(answer: Callable[[], Awaitable[Answer]], code: str) -> Answer:
    """Calls until that is the outcome: every process follows within a second."""
    async with asyncio.timeout(20):
        while (last := await answer()).code != code:
            await asyncio.sleep(0.02)
        return last


def login(transport: Transport, name: str, email: str) -> Callable[[], Awaitable[Answer]]:
    request = {"email": email, "password": PASSWORD}
    return lambda: transport.call(f"{AUTH}/Login", request, metadata=[("x-tenant-slug", name)])


async def test_a_tenant_is_created_with_all_that_is_said_of_it(operator: Operator) -> None:
    said = profile()
    parent = await operator.done("CreateTenant", slug=slug())
    wanted = {"slug": slug(), "displayName": "Acme", **said, "parentId": parent["id"]}
    draft = await operator.done("CreateTenant", **wanted, validateOnly=True)
    made = await operator.done("CreateTenant", **wanted)
    assert {name: made.get(name) for name in wanted} == wanted
    assert {name: draft.get(name) for name in wanted} == wanted
    assert await operator.done("GetTenant", id=made["slug"]) == made
    for taken in ({"slug": slug(), "externalId": said["externalId"]}, {**wanted, "slug": slug()}):
        assert await operator.refused("CreateTenant", **taken) == ("ALREADY_EXISTS", "EXTERNAL_ID_TAKEN")
        assert await operator.refused("CreateTenant", **taken, validateOnly=True) == (
            "ALREADY_EXISTS",
            "EXTERNAL_ID_TAKEN",
        )


async def test_what_was_read_can_be_put_back(operator: Operator) -> None:
    made = await operator.done("CreateTenant", slug=slug(), **profile())
    same = await operator.done("UpdateTenant", id=made["id"], tenant=made)
    assert same == made, "what changes nothing makes no version"
    assert await operator.done("UpdateTenant", id=made["id"], tenant={**made, **OUTPUT_ONLY}) == made
    changed = await operator.done("UpdateTenant", id=made["slug"], tenant={**made, **OUTPUT_ONLY, "displayName": "New"})
    assert {**changed, "displayName": made["displayName"], "etag": "", "updateTime": ""} == {
        **made,
        "etag": "",
        "updateTime": "",
    }
    assert (changed["displayName"], changed["etag"] != made["etag"]) == ("New", True)
    assert await operator.refused("UpdateTenant", id=made["id"], tenant={**made, "displayName": "Newer"}) == (
        "ABORTED",
        "ETAG_MISMATCH",
    )
    bare = await operator.done(
        "UpdateTenant", id=made["id"], tenant={"slug": made["slug"], "displayName": "Bare", "etag": changed["etag"]}
    )
    assert not any(bare.get(name) for name in PROFILE), "what a whole tenant does not hold is cleared"


async def test_a_mask_changes_what_it_names(operator: Operator) -> None:
    made = await operator.done("CreateTenant", slug=slug(), **profile())
    new = {"displayName": "Masked", "labels": {"only": "this"}, "locale": "fr"}
    changed = await operator.done("UpdateTenant", id=made["id"], tenant=new, updateMask="displayName,labels")
    assert (changed["displayName"], changed["labels"], changed["locale"]) == ("Masked", {"only": "this"}, "de-CH")
    dry = await operator.done(
        "UpdateTenant", id=made["id"], tenant={"locale": "it"}, updateMask="locale", validateOnly=True
    )
    assert dry["locale"] == "it"
    assert (await operator.done("GetTenant", id=made["id"]))["locale"] == "de-CH"


@pytest.mark.parametrize(
    ("mask", "field"),
    [
        ("planId", "update_mask"),
        ("state", "update_mask"),
        ("labels.team", "update_mask"),
        ("parentId", "update_mask"),
        ("suspension.reason", "update_mask"),
        ("noSuchField", "update_mask"),
        ("displayName,etag", "update_mask"),
        (",".join(f"f{number}" for number in range(200)), "update_mask"),
    ],
)
async def test_a_mask_that_names_anything_else_is_refused(operator: Operator, mask: str, field: str) -> None:
    made = await operator.done("CreateTenant", slug=slug())
    answer = await operator.call("UpdateTenant", id=made["id"], tenant=made, updateMask=mask)
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), answer
    assert (await operator.done("GetTenant", id=made["id"])) == made


@pytest.mark.parametrize(
    "wrong",
    [
        {"slug": "A B"},
        {"slug": "admin"},
        {"displayName": ""},
        {"displayName": "a\nb"},
        {"labels": {"Team": "x"}},
        {"labels": {f"k{number}": "" for number in range(65)}},
        {"labels": {"team": "X"}},
        {"region": "mars"},
        {"externalId": "a b"},
        {"externalId": "x" * 201},
        {"timeZone": "Mars/Olympus"},
        {"timeZone": "../../etc/passwd"},
        {"timeZone": "localtime"},
        {"timeZone": "Factory"},
        {"locale": "english"},
        {"currency": "eur"},
        {"currency": "DEM"},
        {"contacts": [{"displayName": "Ann", "email": "no address"}]},
        {"contacts": [{"displayName": "Ann", "email": "a@b.example", "phone": "112"}]},
        {"contacts": [{"displayName": "Ann", "email": "a@b.example"}] * 21},
        {"parentId": "00000000-0000-7000-8000-000000000001"},
        {"id": "00000000-0000-7000-8000-000000000001"},
    ],
    ids=str,
)
async def test_a_wrong_value_is_refused_and_changes_nothing(operator: Operator, wrong: dict[str, Any]) -> None:
    made = await operator.done("CreateTenant", slug=slug(), displayName="Acme")
    answer = await operator.call("UpdateTenant", id=made["id"], tenant={**made, **wrong})
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), answer
    assert await operator.done("GetTenant", id=made["id"]) == made


async def test_a_former_slug_leads_to_its_tenant_and_is_nobody_elses(
    operator: Operator, transport: Transport, world: World
) -> None:
    tenant = await world.tenant()
    user = await world.user(tenant)
    new = slug()
    changed = await operator.done("UpdateTenant", id=tenant.id, tenant={"slug": new}, updateMask="slug")
    assert [each["slug"] for each in changed["formerSlugs"]] == [tenant.slug]
    for name in (tenant.slug, new):
        assert (await operator.done("GetTenant", id=name))["id"] == tenant.id
        await eventually(login(transport, name, user.email), "OK")
        mine = await transport.call(f"{TENANTS}/GetTenant", {"id": name}, token=user.token)
        assert (mine.code, mine.body["slug"]) == ("OK", new)
        agreeing = [("x-tenant-slug", name)]
        read = await transport.call(f"{TENANTS}/GetTenant", {"id": new}, token=user.token, metadata=agreeing)
        assert read.code == "OK", "a former slug agrees with the credential"
    assert await operator.refused("CreateTenant", slug=tenant.slug) == ("ALREADY_EXISTS", "SLUG_TAKEN")
    other = await world.tenant()
    for taken in (tenant.slug, new):
        answer = await operator.refused("UpdateTenant", id=other.id, tenant={"slug": taken}, updateMask="slug")
        assert answer == ("ALREADY_EXISTS", "SLUG_TAKEN")
    back = await operator.done("UpdateTenant", id=tenant.id, tenant={"slug": tenant.slug}, updateMask="slug")
    assert [each["slug"] for each in back["formerSlugs"]] == [new], "its own former slug it can have again"


async def test_members_change_nothing_of_their_tenant(transport: Transport, world: World) -> None:
    parent = await world.tenant()
    made = await world.operate(f"{TENANTS}/CreateTenant", {"slug": slug(), **profile(), "parentId": parent.id})
    user = await world.user(Tenant(made["id"], made["slug"]))
    renaming = {"id": made["id"], "tenant": {"slug": slug()}, "updateMask": "slug"}
    whole = await world.operate(f"{TENANTS}/UpdateTenant", renaming)
    assert {name for name in UNSEEN if whole.get(name)} == set(UNSEEN)
    request = {"id": made["id"], "tenant": {"displayName": "Ours"}, "updateMask": "displayName"}
    answer = await transport.call(f"{TENANTS}/UpdateTenant", request, token=user.token)
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
    read = (await transport.call(f"{TENANTS}/GetTenant", {"id": made["id"]}, token=user.token)).body
    assert {name: value for name, value in whole.items() if name not in UNSEEN} == {
        name: value for name, value in read.items() if name not in UNSEEN
    }
    assert not set(UNSEEN) & {name for name, value in read.items() if value}


async def test_a_deleted_tenant_is_missing_to_all_but_operators_and_comes_back_whole(
    operator: Operator, transport: Transport, world: World
) -> None:
    tenant, other = await world.tenant(), await world.tenant()
    user, neighbour = await world.user(tenant), await world.user(other)
    before = await operator.done("GetTenant", id=tenant.id)
    deleted = (await operator.done("DeleteTenant", id=tenant.slug, reason="closed", etag=before["etag"]))["tenant"]
    assert (deleted["state"], deleted["deletion"]["reason"]) == ("TENANT_STATE_DELETED", "closed")
    assert deleted["purgeTime"] > deleted["deleteTime"]
    assert await operator.done("GetTenant", id=tenant.slug) == deleted

    def read(token: str) -> Callable[[], Awaitable[Answer]]:
        return lambda: transport.call(f"{TENANTS}/GetTenant", {"id": tenant.id}, token=token)

    await eventually(read(user.token), "NOT_FOUND")
    await eventually(login(transport, tenant.slug, user.email), "NOT_FOUND")
    gone, foreign = await read(user.token)(), await read(neighbour.token)()
    assert (gone.code, gone.reason, gone.message) == (foreign.code, foreign.reason, foreign.message)
    assert await operator.refused("SuspendTenant", id=tenant.id, reason="x") == ("NOT_FOUND", "TENANT_NOT_FOUND")
    assert await operator.refused("UpdateTenant", id=tenant.id, tenant=before) == ("NOT_FOUND", "TENANT_NOT_FOUND")
    assert (await operator.call("ResumeTenant", id=tenant.id)).message == "The tenant is deleted. Undelete it first."
    assert await operator.refused("ResolveTenant", slug=tenant.slug) == ("NOT_FOUND", "TENANT_NOT_FOUND")
    assert await operator.refused("CreateTenant", slug=tenant.slug) == ("ALREADY_EXISTS", "SLUG_TAKEN")
    again = (await operator.done("DeleteTenant", id=tenant.id))["tenant"]
    assert again == deleted, "a deleted tenant stays as it is"
    sooner = (await operator.done("DeleteTenant", id=tenant.id, gracePeriod="3600s"))["tenant"]
    assert sooner["deleteTime"] == deleted["deleteTime"]
    assert sooner["purgeTime"] < deleted["purgeTime"]

    back = await operator.done("UndeleteTenant", id=tenant.id)
    assert {**back, "etag": "", "updateTime": ""} == {**before, "etag": "", "updateTime": ""}
    await eventually(read(user.token), "OK")
    await eventually(login(transport, tenant.slug, user.email), "OK")
    assert (await operator.done("UndeleteTenant", id=tenant.id)) == back
    told = await transport.call(f"{ENTITLEMENTS}/ListEntitlementChanges", {"id": tenant.id}, token=user.token)
    ends = [each["type"].removeprefix("ENTITLEMENT_CHANGE_TYPE_") for each in told.body["changes"]]
    ends = [each for each in ends if each != "CATALOG_CHANGED"]  # features and plans are everybody's
    assert ends == ["TENANT_UNDELETED", "TENANT_DELETED", "PLAN_CHANGED"]


async def test_a_suspended_tenant_comes_back_suspended(operator: Operator) -> None:
    made = await operator.done("CreateTenant", slug=slug())
    await operator.done("SuspendTenant", id=made["id"], reason="unpaid")
    await operator.done("DeleteTenant", id=made["id"])
    back = await operator.done("UndeleteTenant", id=made["id"])
    assert (back["state"], back["suspension"]["reason"]) == ("TENANT_STATE_SUSPENDED", "unpaid")


async def test_protection_children_and_old_versions_stop_a_deletion(operator: Operator) -> None:
    parent = await operator.done("CreateTenant", slug=slug(), deleteProtection=True)
    child = await operator.done("CreateTenant", slug=slug(), parentId=parent["id"])
    for dry in (False, True):
        refused = await operator.refused("DeleteTenant", id=parent["id"], validateOnly=dry)
        assert refused == ("FAILED_PRECONDITION", "DELETE_PROTECTED")
    free = await operator.done(
        "UpdateTenant", id=parent["id"], tenant={"deleteProtection": False}, updateMask="deleteProtection"
    )
    for dry in (False, True):
        refused = await operator.refused("DeleteTenant", id=parent["id"], validateOnly=dry)
        assert refused == ("FAILED_PRECONDITION", "TENANT_HAS_CHILDREN")
    await operator.done("DeleteTenant", id=child["id"])
    assert await operator.refused("DeleteTenant", id=parent["id"], etag=parent["etag"]) == ("ABORTED", "ETAG_MISMATCH")
    dry = (await operator.done("DeleteTenant", id=parent["id"], validateOnly=True))["tenant"]
    assert dry == free == await operator.done("GetTenant", id=parent["id"])
    for grace in ("-1s", "-0.000000001s", "400000000s"):
        answer = await operator.refused("DeleteTenant", id=parent["id"], gracePeriod=grace)
        assert answer == ("INVALID_ARGUMENT", "INVALID_FIELD")
    await operator.done("DeleteTenant", id=parent["id"], etag=free["etag"])


async def test_a_parent_comes_back_before_its_child(operator: Operator) -> None:
    parent = await operator.done("CreateTenant", slug=slug())
    child = await operator.done("CreateTenant", slug=slug(), parentId=parent["id"])
    for each in (child, parent):
        await operator.done("DeleteTenant", id=each["id"])
    for dry in (True, False):
        refused = await operator.refused("UndeleteTenant", id=child["id"], validateOnly=dry)
        assert refused == ("FAILED_PRECONDITION", "PARENT_DELETED")
    assert (await operator.done("GetTenant", id=child["id"]))["state"] == "TENANT_STATE_DELETED"
    for each in (parent, child):
        assert (await operator.done("UndeleteTenant", id=each["id"]))["parentId"] == each["parentId"]


async def test_a_region_is_one_of_the_installations_and_stays(operator: Operator) -> None:
    invalid = ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert await operator.refused("CreateTenant", slug=slug(), region="mars") == invalid
    made = await operator.done("CreateTenant", slug=slug())
    here = {"id": made["id"], "tenant": {"region": "eu-central"}, "updateMask": "region"}
    for wrong in ({"region": "EU-Central"}, {"region": "us-east,eu-central"}):
        assert await operator.refused("UpdateTenant", **{**here, "tenant": wrong}) == invalid
    set_once = await operator.done("UpdateTenant", **here)
    assert set_once["region"] == "eu-central"
    for moved in ({"region": "us-east"}, {"region": ""}):
        assert await operator.refused("UpdateTenant", **{**here, "tenant": moved}) == invalid
    assert await operator.refused("UpdateTenant", id=made["id"], tenant={**set_once, "region": "us-east"}) == invalid
    kept = await operator.done("UpdateTenant", id=made["id"], tenant={**set_once, "region": ""})
    assert kept == set_once, "a whole tenant may leave it out"


async def test_tenants_below_each_other_are_five_at_most(operator: Operator) -> None:
    parent = ""
    for _ in range(5):
        made = await operator.done("CreateTenant", slug=slug(), **({"parentId": parent} if parent else {}))
        parent = made["id"]
    assert await operator.refused("CreateTenant", slug=slug(), parentId=parent) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    unknown = str(uuid.uuid4())
    assert await operator.refused("CreateTenant", slug=slug(), parentId=unknown) == ("NOT_FOUND", "PARENT_NOT_FOUND")


async def test_a_released_slug_is_anybodys(operator: Operator) -> None:
    made = await operator.done("CreateTenant", slug=slug())
    await operator.done("DeleteTenant", id=made["id"], releaseSlug=True)
    heir = await operator.done("CreateTenant", slug=made["slug"])
    async with asyncio.timeout(10):
        while (await operator.done("GetTenant", id=made["slug"]))["id"] != heir["id"]:
            await asyncio.sleep(0.02)
    assert await operator.refused("UndeleteTenant", id=made["id"]) == ("ALREADY_EXISTS", "SLUG_TAKEN")
    new = slug()
    dry = await operator.done("UndeleteTenant", id=made["id"], slug=new, validateOnly=True)
    assert (dry["slug"], (await operator.done("GetTenant", id=made["id"]))["state"]) == (new, "TENANT_STATE_DELETED")
    back = await operator.done("UndeleteTenant", id=made["id"], slug=new)
    assert (back["slug"], back["state"]) == (new, "TENANT_STATE_ACTIVE")
    assert (await operator.done("GetTenant", id=new))["id"] == made["id"]


async def test_a_slug_is_released_later_too(operator: Operator) -> None:
    made = await operator.done("CreateTenant", slug=slug())
    deleted = (await operator.done("DeleteTenant", id=made["id"], reason="closed"))["tenant"]
    released = (await operator.done("DeleteTenant", id=made["id"], releaseSlug=True))["tenant"]
    for name in ("deleteTime", "purgeTime", "deletion"):
        assert released[name] == deleted[name], "the rest stays as it is"
    heir = await operator.done("CreateTenant", slug=made["slug"])
    assert heir["id"] != made["id"]
    sooner = (await operator.done("DeleteTenant", id=made["id"], gracePeriod="3600s", reason="sooner"))["tenant"]
    assert sooner["deletion"] == deleted["deletion"]
    assert sooner["purgeTime"] < deleted["purgeTime"]


async def test_of_two_writers_at_once_one_wins(operator: Operator) -> None:
    made = await operator.done("CreateTenant", slug=slug())
    answers = await asyncio.gather(
        *(
            operator.call("UpdateTenant", id=made["id"], tenant={**made, "displayName": f"Writer {number}"})
            for number in range(8)
        )
    )
    codes = sorted(answer.code for answer in answers)
    assert codes == ["ABORTED"] * 7 + ["OK"]
    won = next(answer.body for answer in answers if answer.code == "OK")
    assert await operator.done("GetTenant", id=made["id"]) == won


async def test_of_many_that_want_a_slug_one_has_it(operator: Operator) -> None:
    wanted = slug()
    ids = [(await operator.done("CreateTenant", slug=slug()))["id"] for _ in range(4)]
    changes = [operator.call("UpdateTenant", id=each, tenant={"slug": wanted}, updateMask="slug") for each in ids]
    creates = [operator.call("CreateTenant", slug=wanted) for _ in range(4)]
    answers = await asyncio.gather(*changes, *creates)
    assert sorted(answer.code for answer in answers) == ["ALREADY_EXISTS"] * 7 + ["OK"]
