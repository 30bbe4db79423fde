"""Lists of tenants over gRPC and REST: filters, orders, totals, deleted tenants, and every kind of bad input."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from tenantmesh.chassis.opaque import pack
from tests.fixtures.mesh import TENANTS, Mesh, World
from tests.transports import Answer, Transport

LIST = f"{TENANTS}/ListTenants"


@dataclass(frozen=True)
class Listed:
    """Four tenants with a label of their own, by the last part of their slugs: a, b, c, and d, which is deleted."""

    mark: str
    tenants: dict[str, dict[str, Any]]

    def those(self, filter_text: str = "") -> str:
        """A filter that leaves out the tenants of other tests."""
        return f"labels.mark = {self.mark} AND ({filter_text})" if filter_text else f"labels.mark = {self.mark}"

    def names(self, answer: Answer) -> list[str]:
        """The tenants in an answer, in their order."""
        assert answer.code == "OK", answer
        return [tenant["slug"].rpartition("-")[2] for tenant in answer.body["tenants"]]


@dataclass(frozen=True)
class Lister:
    """Calls ListTenants as an operator."""

    transport: Transport
    key: str

    async def __call__(self, **request: Any) -> Answer:
        return await self.transport.call(LIST, request, token=self.key)

    async def problem(self, **request: Any) -> str:
        """The refusal of a request, of which a field is wrong."""
        answer = await self(**request)
        assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), answer
        return answer.message.removeprefix("Correct these fields and send the request again: ")


@pytest.fixture
def lister(transport: Transport, mesh: Mesh) -> Lister:
    return Lister(transport, mesh.operator_key)


@pytest.fixture(scope="module")
async def listed(world: World) -> Listed:
    mark = f"m{uuid.uuid4().hex[:10]}"
    made: dict[str, dict[str, Any]] = {}
    for name, plan in (("a", "basic"), ("b", "premium"), ("c", "premium"), ("d", "premium")):
        labels = {"mark": mark, "env": "prod" if name in "ac" else "test", **({"tier": "gold"} if name == "c" else {})}
        fields = {"displayName": f"The {name.upper()} of {mark}_%", "externalId": f"{mark}:{name}", "labels": labels}
        made[name] = await world.operate(
            f"{TENANTS}/CreateTenant",
            {
                "slug": f"{mark}-{name}",
                "planId": plan,
                **fields,
                **({"parentId": made["a"]["id"]} if name == "b" else {}),
            },
        )
    await world.operate(f"{TENANTS}/SuspendTenant", {"id": made["b"]["id"], "reason": "unpaid"})
    await world.operate(f"{TENANTS}/DeleteTenant", {"id": made["d"]["id"], "reason": "left"})
    return Listed(mark, made)


@pytest.mark.parametrize(
    ("filter_text", "names"),
    [
        ("", "abc"),
        ("state = ACTIVE", "ac"),
        ("state = TENANT_STATE_SUSPENDED", "b"),
        ("state != SUSPENDED", "ac"),
        ("state = DELETED", ""),
        ("plan_id = premium", "bc"),
        ("plan_id = 'prem*' AND plan_version >= 1", "bc"),
        ("labels.env = prod", "ac"),
        ("labels.env != prod", "b"),
        ("labels.env:*", "abc"),
        ("labels:tier OR labels.env = test", "bc"),
        ("-labels.tier:*", "ab"),
        ('labels.tier = "g*d"', "c"),
        ("slug = {mark}-a", "a"),
        ("slug = {mark}-*", "abc"),
        ('display_name = "The B of {mark}_%"', "b"),
        ('display_name = "The * of {mark}_%"', "abc"),
        ('display_name = "The A of {mark}%%"', ""),
        ('display_name:"THE A"', "a"),
        ("external_id = '{mark}:c'", "c"),
        ("parent_id = {a}", "b"),
        ("parent_id:*", "b"),
        ("id = {a} OR id = {c}", "ac"),
        ("create_time >= {created_c}", "c"),
        ("update_time >= {created_c}", "bc"),
        ("delete_time:* OR login_hosts:nobody.example OR delete_protection = true", ""),
        ("region = '' AND NOT region = 'e*'", "abc"),
        ("{mark}", "abc"),
        ("the a of", "a"),
        ("THE C", "c"),
        ("premium", ""),
    ],
)  # fmt: skip
async def test_a_filter_selects(lister: Lister, listed: Listed, filter_text: str, names: str) -> None:
    ids = {name: tenant["id"] for name, tenant in listed.tenants.items()}
    text = filter_text.format(mark=listed.mark, created_c=listed.tenants["c"]["createTime"], **ids)
    assert "".join(listed.names(await lister(filter=listed.those(text)))) == names


@pytest.mark.parametrize(
    ("order_by", "names"),
    [
        ("", "abc"),
        ("slug desc", "cba"),
        ("display_name", "abc"),
        ("create_time desc", "cba"),
        ("update_time desc", "bca"),
        ("update_time, slug desc", "acb"),
    ],
)
async def test_an_order_holds_over_pages(lister: Lister, listed: Listed, order_by: str, names: str) -> None:
    asked = {"filter": listed.those(), "orderBy": order_by, "pageSize": 1}
    found, token = "", ""
    while not found or token:
        answer = await lister(**asked, pageToken=token)
        found += "".join(listed.names(answer))
        token = answer.body.get("nextPageToken", "")
    assert found == names


async def test_operators_see_deleted_tenants_when_they_ask(lister: Lister, listed: Listed) -> None:
    shown = await lister(filter=listed.those(), showDeleted=True)
    assert "".join(listed.names(shown)) == "abcd"
    assert shown.body["tenants"][-1]["deletion"]["reason"] == "left"
    for filter_text in ("state = DELETED", "delete_time:*"):
        assert listed.names(await lister(filter=listed.those(filter_text), showDeleted=True)) == ["d"]


async def test_services_see_none(transport: Transport, mesh: Mesh, listed: Listed) -> None:
    shown = await transport.call(LIST, {"filter": listed.those(), "showDeleted": True}, token=mesh.service_key)
    assert (shown.code, shown.reason) == ("PERMISSION_DENIED", "AUDIENCE_NOT_ALLOWED")
    assert "leave out show_deleted" in shown.message.lower()


async def test_the_total_is_counted_on_request(lister: Lister, listed: Listed) -> None:
    first = await lister(filter=listed.those(), pageSize=1, includeTotalSize=True)
    assert (first.body["totalSize"], first.body.get("totalSizeEstimated", False)) == (3, False)
    second = await lister(filter=listed.those(), pageSize=1, pageToken=first.body["nextPageToken"])
    assert second.body.get("totalSize", 0) == 0, "a total costs, so a page that is not asked for it has none"
    everybody = await lister(filter=listed.those(), showDeleted=True, includeTotalSize=True)
    assert everybody.body["totalSize"] == 4


async def test_a_token_continues_its_query_however_it_is_spelled(lister: Lister, listed: Listed) -> None:
    token = (await lister(filter=listed.those(), orderBy="slug", pageSize=1)).body["nextPageToken"]
    spelled = f'  labels.mark="{listed.mark}"  '
    assert listed.names(await lister(filter=spelled, orderBy=" slug asc", pageSize=1, pageToken=token)) == ["b"]


@pytest.mark.parametrize(
    "other",
    [
        {"filter": "state = ACTIVE"},
        {"filter": ""},
        {"orderBy": "slug"},
        {"orderBy": "create_time desc"},
        {"orderBy": "", "showDeleted": True},
    ],
)
async def test_a_token_of_another_query_is_refused(lister: Lister, listed: Listed, other: dict[str, Any]) -> None:
    asked = {"filter": listed.those(), "orderBy": "create_time", "pageSize": 1}
    token = (await lister(**asked)).body["nextPageToken"]
    assert "must be the next_page_token of the page before" in await lister.problem(
        **{**asked, **other}, pageToken=token
    )


@pytest.mark.parametrize("order_by", ["", "create_time", "display_name, slug"])
@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"\xff" * 16, b"[" * 3000, b'["a","b","c"]', b'[{}]', b'[1e400,"x"]', b'[99999999999999999999,"x"]'],
)  # fmt: skip
async def test_a_forged_token_is_refused(lister: Lister, order_by: str, payload: bytes) -> None:
    assert "page" in await lister.problem(orderBy=order_by, pageToken=pack(b"tm.list", payload))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("slug = " + "x" * 5000, "has 5007 characters; write at most 4096"),
        ("stat = A", "column 1, at “stat = A”: there is no such field; filter by id, slug, display_name, state"),
        ("state = active", "column 9, at “active”: state is one of ACTIVE, SUSPENDED, DELETED"),
        ("create_time > today", "column 15, at “today”: create_time is compared with a time of RFC 3339"),
        ("plan_version = two", "column 16, at “two”: plan_version is compared with a whole number"),
        ("parent_id = acme", "column 13, at “acme”: parent_id is compared with a UUID"),
        ("slug = a\u202eb", "column 9, at “\\u202eb”: control characters are not taken"),
        ("slug = a\x07", "column 9, at “\\u0007”: control characters are not taken"),
        ("state = ACTIVE or acme", "column 16, at “or acme”: write OR in capitals"),
        ("slug = 'x' ); drop table x", "column 12, at “); drop table x”: this parenthesis opens nowhere"),
        ("(" * 17 + "a" + ")" * 17, "column 17, at “(a)))))))))))))))))”: parentheses stand in each other at most"),
    ],
)
async def test_a_filter_that_can_not_be_read_is_refused_at_its_place(lister: Lister, text: str, problem: str) -> None:
    assert (await lister.problem(filter=text)).startswith(f"filter: {problem}")


@pytest.mark.parametrize("letter", ["x", "\u00fc", "\U00020000"], ids=["ASCII", "two bytes", "four bytes"])
async def test_a_word_is_as_long_as_the_database_takes(lister: Lister, listed: Listed, letter: str) -> None:
    """PostgreSQL has words of up to 2046 bytes."""
    longest = f'{letter * 500}-{letter * 3} "{letter * 4}"'
    assert listed.names(await lister(filter=listed.those(longest))) == []
    told = await lister.problem(filter=letter * 501)
    assert told.startswith("filter: column 1, at “")
    assert told.endswith("a word of a search has at most 500 characters")


async def test_a_filter_of_10_kb_is_refused(lister: Lister) -> None:
    answer = await lister(filter="slug = " + "x" * 10_000)
    too_long = ("INVALID_ARGUMENT", "Correct these fields and send the request again: filter: has 10007 characters")
    at_the_edge = ("RESOURCE_EXHAUSTED", "The headers exceed 8192 bytes")  # over REST a filter is in the path
    assert any(answer.code == code and answer.message.startswith(told) for code, told in (too_long, at_the_edge))


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("orderBy", "plan", "column 1, at “plan”: there is no order by this; order by create_time, update_time, slug"),
        ("orderBy", "slug sideways", "column 6, at “sideways”: a direction is asc or desc"),
        ("orderBy", "slug\u2066", "column 5, at “\\u2066”: control characters"),
        ("pageSize", -1, "must not be negative"),
        ("pageToken", "garbage", "must be the next_page_token of the page before"),
    ],
)
async def test_another_field_that_is_wrong_is_named(lister: Lister, field: str, value: Any, problem: str) -> None:
    named, _, told = (await lister.problem(**{field: value})).partition(": ")
    assert named in {field, re.sub("([A-Z])", r"_\1", field).lower()}
    assert told.startswith(problem)
