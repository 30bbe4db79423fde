"""The history of a tenant's entitlements, page by page."""

from __future__ import annotations

import pytest

from interceptors.errors import InvalidArgument
from tenant_svc.entitlements.history import History
from tenant_svc.entitlements.overrides import Overrides
from tenant_svc.plans.page_tokens import feature_token
from tenant_svc.plans.plan import FeatureValue
from tenant_svc.tenants.tenant import Tenant
from tests.integration.tenant_svc.entitlements.conftest import ACTOR, override_draft


async def test_pages_tell_every_change_once_newest_first(
    acme: Tenant, globex: Tenant, overrides: Overrides, history: History
) -> None:
    for number in range(7):
        for tenant in (acme, globex):
            await overrides.set(tenant.id, override_draft("users", FeatureValue.of_limit(number)), ACTOR)
    whole = (await history.page(acme.id, 0, "")).changes
    assert [each.after for each in whole] == [f"{number} user" for number in reversed(range(7))]
    assert [each.position for each in whole] == sorted((each.position for each in whole), reverse=True)
    for size in (1, 2, 3, 7, 8):
        told, token = [], ""
        while True:
            page = await history.page(acme.id, size, token)
            assert len(page.changes) <= size
            told += page.changes
            token = page.next_token
            if not token:
                break
        assert told == whole


async def test_a_change_between_two_pages_moves_nothing(acme: Tenant, overrides: Overrides, history: History) -> None:
    for number in range(4):
        await overrides.set(acme.id, override_draft("users", FeatureValue.of_limit(number)), ACTOR)
    first = await history.page(acme.id, 2, "")
    await overrides.set(acme.id, override_draft("users", FeatureValue.of_limit(9)), ACTOR)
    second = await history.page(acme.id, 2, first.next_token)
    assert [each.after for each in [*first.changes, *second.changes]] == ["3 user", "2 user", "1 user", "0 user"]


async def test_another_tenants_token_shows_ones_own_history(
    acme: Tenant, globex: Tenant, overrides: Overrides, history: History
) -> None:
    for tenant, number in ((globex, 1), (acme, 2), (acme, 3)):
        await overrides.set(tenant.id, override_draft("users", FeatureValue.of_limit(number)), ACTOR)
    token = (await history.page(acme.id, 1, "")).next_token
    assert {each.tenant_id for each in (await history.page(globex.id, 10, token)).changes} == {globex.id}


@pytest.mark.parametrize(("size", "token"), [(-1, ""), (0, "garbage"), (0, feature_token("core")), (0, "é")])
async def test_a_bad_page_is_refused(acme: Tenant, history: History, size: int, token: str) -> None:
    with pytest.raises(InvalidArgument):
        await history.page(acme.id, size, token)
