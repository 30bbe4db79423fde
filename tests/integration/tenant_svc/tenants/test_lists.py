"""Pages of the list of tenants: every tenant once and in order, while others come, go and change."""

from __future__ import annotations

import uuid

import pytest

from tenantmesh.interceptors.errors import InvalidArgument, PermissionDenied
from tenantmesh.tenant_svc.tenants.query import TenantQuery
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Tenant
from tenantmesh.tenant_svc.tenants.tenant_lists import TenantLists
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tenantmesh.tenant_svc.viewers import Viewer
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.listed import all_pages, query
from tests.integration.tenant_svc.stage import as_superuser, new_tenant, unused_slug


async def several(tenants: Tenants, number: int) -> tuple[str, list[Tenant]]:
    """New tenants, and the beginning that their slugs share with no others."""
    mark = f"l{uuid.uuid4().hex[:10]}"
    return mark, [await tenants.create(new_tenant(f"{mark}-{n}"), None) for n in range(number)]


async def test_pages_hold_every_tenant_once_oldest_first(tenants: Tenants, lists: TenantLists) -> None:
    made = [(await tenants.create(new_tenant(), None)).id for _ in range(7)]
    pages = await all_pages(lists, query(), 3)
    assert {len(page) for page in pages[:-1]} == {3}
    seen = [tenant.id for page in pages for tenant in page]
    assert seen == sorted(set(seen))
    assert seen[-7:] == made


async def test_a_page_that_is_exactly_full_and_last_has_no_token(tenants: Tenants, lists: TenantLists) -> None:
    mark, made = await several(tenants, 3)
    for size in (3, 10_000):
        page = await lists.page(query(f"slug = {mark}*"), size, "")
        assert (len(page.items), page.next_token) == (len(made), "")


@pytest.mark.parametrize(("size", "token", "field"), [(-1, "", "page_size"), (5, "garbage", "page_token")])
async def test_a_bad_page_request_names_its_field(lists: TenantLists, size: int, token: str, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await lists.page(query(), size, token)
    assert [violation.field for violation in caught.value.violations] == [field]


@pytest.mark.parametrize("order_by", ["", "slug", "display_name", "create_time desc", "update_time, slug desc"])
async def test_a_tenant_that_comes_or_goes_moves_no_other(
    tenants: Tenants, lists: TenantLists, migrated: WorkerDatabase, order_by: str
) -> None:
    """The tenants that stay as they are come once, whatever happens to those before and after the place of a page."""
    mark, made = await several(tenants, 8)
    asked = query(f"slug = {mark}-*", order_by)
    in_order = [tenant for (tenant,) in await all_pages(lists, asked, 1)]
    first = await lists.page(asked, 4, "")
    gone = first.items[-1], in_order[5]
    for tenant in gone:
        await as_superuser(migrated, "update tenant.tenants set state = 'DELETED' where tenant_id = $1", tenant.id)
    for n in (0, 9):
        await tenants.create(new_tenant(f"{mark}-{n}-new"), None)
    second = await lists.page(asked, 50, first.next_token)
    seen = [tenant.id for tenant in (*first.items, *second.items)]
    assert len(seen) == len(set(seen))
    assert {tenant.id for tenant in made} - set(seen) == {gone[1].id}
    assert [id_ for id_ in seen if id_ in {tenant.id for tenant in made}] == [
        tenant.id for tenant in in_order if tenant is not in_order[5]
    ]


async def test_equal_names_are_told_apart_by_their_ids(tenants: Tenants, lists: TenantLists) -> None:
    name = f"Twins {uuid.uuid4().hex}"
    new = [NewTenant.checked(slug=unused_slug(), display_name=name, plan_id="premium") for _ in range(5)]
    made = [await tenants.create(each, None) for each in new]
    for order_by, expected in (("display_name", made), ("display_name desc", made[::-1])):
        pages = await all_pages(lists, query(f'display_name = "{name}"', order_by), 2)
        assert [tenant.id for page in pages for tenant in page] == [tenant.id for tenant in expected]


async def test_words_are_found_in_any_case_and_script(tenants: Tenants, lists: TenantLists) -> None:
    mark = uuid.uuid4().hex[:8]
    named = NewTenant.checked(slug=unused_slug(), display_name=f"Ärzte-Haus «Über» {mark} 東京支社", plan_id="premium")
    made = await tenants.create(named, None)
    for text in ("ärzte", "ÄRZTE haus", "über", "東京", '"haus über"', "ärz*"):
        found = (await lists.page(query(f"{mark} {text}"), 10, "")).items
        assert [tenant.id for tenant in found] == [made.id], text
    for text in ("rzte", "京支", "zürich"):
        assert not (await lists.page(query(f"{mark} {text}"), 10, "")).items, text


async def test_a_query_follows_a_change_at_once(tenants: Tenants, lists: TenantLists, migrated: WorkerDatabase) -> None:
    """Labels and words are found by what the row holds, however it was written."""
    made = await tenants.create(new_tenant(), None)
    mark = f"x{uuid.uuid4().hex[:10]}"
    change = "update tenant.tenants set labels = $2, display_name = $3, login_hosts = $4 where tenant_id = $1"
    await as_superuser(migrated, change, made.id, f'{{"k": "{mark}"}}', f"Now {mark}", [f"{mark}.example"])
    for text in (f"labels.k = {mark}", mark, f"login_hosts:{mark.upper()}.Example", f'display_name:"w {mark}"'):
        assert [tenant.id for tenant in (await lists.page(query(text), 10, "")).items] == [made.id], text


async def test_a_key_with_an_equals_sign_is_no_key_and_value(
    tenants: Tenants, lists: TenantLists, migrated: WorkerDatabase
) -> None:
    """Labels are looked up as `key=value`, which the text of a key is not taken for."""
    made = await tenants.create(new_tenant(), None)
    mark = f"x{uuid.uuid4().hex[:10]}"
    change = "update tenant.tenants set labels = $2 where tenant_id = $1"
    await as_superuser(migrated, change, made.id, f'{{"k": "{mark}=y"}}')
    for text in (
        f'labels."k={mark}=y":*',
        f'labels:"k={mark}=y"',
        f'labels."k={mark}" = y',
        f'labels."k={mark}" = "y*"',
        f'{made.slug} labels."k={mark}=y":*',
        f'labels."k={mark}=y":* AND slug = {made.slug}',
        f'slug = {unused_slug()} OR labels:"k={mark}=y"',
    ):
        assert not (await lists.page(query(text), 10, "")).items, text
    for text in (f'labels.k = "{mark}=y"', f'-labels:"k={mark}" slug = {made.slug}', f'labels:"a=b" OR id = {made.id}'):
        assert [tenant.id for tenant in (await lists.page(query(text), 10, "")).items] == [made.id], text


def test_only_operators_ask_for_deleted_tenants() -> None:
    service = Viewer(notes=True, every_plan=False)
    with pytest.raises(PermissionDenied) as caught:
        TenantQuery.checked(filter_text="", order_by="", show_deleted=True, viewer=service)
    assert caught.value.reason == "AUDIENCE_NOT_ALLOWED"
