"""Overrides: set, replaced, cleared, and remembered in the same transaction."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tenantmesh.interceptors.errors import InvalidArgument, NotFound
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.features.feature import FeatureValue
from tenantmesh.tenant_svc.history.event import ChangeType
from tenantmesh.tenant_svc.history.history import History
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.overrides.rules import OverrideDraft
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tests.integration.tenant_svc.entitled import ACTOR, Rows, override_draft

FIVE, SIX = FeatureValue.of_limit(5), FeatureValue.of_limit(6)


async def told(history: History, tenant: Tenant) -> list[tuple[ChangeType, str, str, str]]:
    """Type, reason, before and after of what came after the first plan, oldest first."""
    (_, *changes) = reversed((await history.page(tenant.id, 100, "")).items)
    return [(each.type, each.reason, each.before, each.after) for each in changes]


async def test_an_override_is_set_replaced_and_cleared_and_the_history_says_so(
    acme: Tenant, globex: Tenant, overrides: Overrides, history: History
) -> None:
    first = await overrides.set(acme.id, override_draft("users", FIVE, reason="a favour"), ACTOR)
    assert (first.feature, first.value, first.reason, first.expire_time) == ("users", FIVE, "a favour", None)
    expire = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    second = await overrides.set(acme.id, override_draft("users", SIX, reason="more", expire=expire), ACTOR)
    assert (await overrides.page(acme.id, 0, "")).items == [second]
    await overrides.clear(acme.id, "users", "enough", ACTOR)
    assert (await overrides.page(acme.id, 0, "")).items == []
    until = expire.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert await told(history, acme) == [
        (ChangeType.OVERRIDE_SET, "a favour", "", "5 users"),
        (ChangeType.OVERRIDE_SET, "more", "5 users", f"6 users until {until}"),
        (ChangeType.OVERRIDE_CLEARED, "enough", f"6 users until {until}", ""),
    ]
    (change, *_) = (await history.page(acme.id, 1, "")).items
    assert (change.actor, change.feature, change.plan_id, change.plan_version) == (ACTOR, "users", "premium", 1)
    assert await told(history, globex) == []
    assert (await overrides.page(globex.id, 0, "")).items == []


async def test_setting_the_same_again_and_clearing_nothing_are_no_changes(
    acme: Tenant, overrides: Overrides, history: History
) -> None:
    first = await overrides.set(acme.id, override_draft(), ACTOR)
    assert await overrides.set(acme.id, override_draft(), ACTOR) == first
    await overrides.clear(acme.id, "core", "", ACTOR)
    for feature in ("no_such_feature", "\x00", ""):
        await overrides.clear(acme.id, feature, "", ACTOR)
    assert len(await told(history, acme)) == 1


async def test_true_and_one_are_two_values(acme: Tenant, overrides: Overrides, rows: Rows) -> None:
    theme = await rows.feature("STATIC")
    for value in (True, 1, 1.0):
        stored = await overrides.set(acme.id, override_draft(theme, FeatureValue.of_static(value)), ACTOR)
        assert type(stored.value.static) is type(value)


async def test_expired_overrides_are_listed_until_they_are_replaced(
    acme: Tenant, overrides: Overrides, rows: Rows
) -> None:
    for feature in ("users", "api_requests"):
        await overrides.set(acme.id, override_draft(feature), ACTOR)
    await rows.expire("overrides", acme.id)
    listed = (await overrides.page(acme.id, 0, "")).items
    assert [each.feature for each in listed] == ["api_requests", "users"]
    again = await overrides.set(acme.id, override_draft("users"), ACTOR)
    assert again.expire_time is None


@pytest.mark.parametrize(
    ("field", "draft"),
    [
        ("override.value", OverrideDraft("users", "", None, "", None)),
        ("override.value", override_draft("users", FeatureValue.of_boolean(True))),
        ("override.value", override_draft("users", FeatureValue.of_limit(-1))),
        ("override.value", override_draft("users", FeatureValue.of_limit(2**53))),
        ("override.value", override_draft("core", FIVE)),
        ("feature", override_draft("")),
        ("override.reason", override_draft(reason="x" * 501)),
        ("override.reason", override_draft(reason="two\nlines")),
        ("override.feature", OverrideDraft("users", "core", FIVE, "", None)),
        ("override.expire_time", override_draft(expire=datetime(2020, 1, 1, tzinfo=UTC))),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_written(
    acme: Tenant, overrides: Overrides, rows: Rows, field: str, draft: OverrideDraft
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await overrides.set(acme.id, draft, ACTOR)
    assert [violation.field for violation in caught.value.violations] == [field]
    assert await rows.count("overrides", acme.id) == await rows.changes(acme.id) == 0


async def test_tenants_and_features_that_are_not_there_are_not_found(
    acme: Tenant, overrides: Overrides, rows: Rows
) -> None:
    for feature in ("no_such_feature", "\x00"):
        with pytest.raises(NotFound) as caught:
            await overrides.set(acme.id, override_draft(feature), ACTOR)
        assert caught.value.reason == "FEATURE_NOT_FOUND"
    nobody = TenantId(uuid.uuid4())
    with pytest.raises(NotFound) as caught:
        await overrides.set(nobody, override_draft(), ACTOR)
    assert caught.value.reason == "TENANT_NOT_FOUND"
    await overrides.set(acme.id, override_draft(), ACTOR)
    await rows.delete(acme.id)
    with pytest.raises(NotFound):
        await overrides.clear(acme.id, "users", "", ACTOR)
    assert await rows.count("overrides", acme.id) == 1


async def test_overrides_set_at_once_leave_a_history_without_a_gap(
    acme: Tenant, overrides: Overrides, history: History
) -> None:
    """Each `before` is the `after` of the one before: nobody decided on what another was changing."""
    values = [FeatureValue.of_limit(number) for number in range(20)]
    await asyncio.gather(*(overrides.set(acme.id, override_draft("users", value), ACTOR) for value in values))
    changes = await told(history, acme)
    assert len(changes) == 20
    assert [before for _, _, before, _ in changes] == ["", *(after for _, _, _, after in changes[:-1])]
    (stands,) = (await overrides.page(acme.id, 0, "")).items
    assert f"{stands.value.limit} users" == changes[-1][3]


async def test_overrides_are_listed_in_pages(acme: Tenant, overrides: Overrides) -> None:
    for name in ("users", "api_requests", "core"):
        value = FeatureValue.of_boolean(True) if name == "core" else FeatureValue.of_limit(7)
        await overrides.set(acme.id, override_draft(name, value), ACTOR)
    first = await overrides.page(acme.id, 2, "")
    second = await overrides.page(acme.id, 2, first.next_token)
    assert [[each.feature for each in page.items] for page in (first, second)] == [["api_requests", "core"], ["users"]]
    assert second.next_token == ""
