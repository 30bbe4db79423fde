"""Brandings on a real PostgreSQL: two tenants, changes at the same time, and what is shown before sign-in."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import Aborted, InvalidArgument, NotFound, Unavailable
from tenantmesh.interceptors.lookup import MISS, Miss
from tenantmesh.interceptors.tenants import TenantId, TenantKey, TenantLookup, TenantRecord, parse_tenant_id
from tenantmesh.tenant_svc.branding.branding import Branding, BrandingChange
from tenantmesh.tenant_svc.branding.brandings import Brandings
from tenantmesh.tenant_svc.branding.colors import Colors
from tenantmesh.tenant_svc.branding.shown import ShownBrandings
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.stage import as_superuser, eventually, new_tenant

COLORS = Colors("#1d4ed8", "#ffffff", "#111827")


def change(branding: Branding, *paths: str, etag: str = "") -> BrandingChange:
    return BrandingChange(branding, frozenset(paths), etag)


@pytest.fixture(scope="session")
def brandings(doors: Doors) -> Brandings:
    return Brandings(doors)


@pytest.fixture
async def default(brandings: Brandings) -> AsyncIterator[Branding]:
    """The default branding, as it is again afterwards."""
    before = (await brandings.default()).branding
    yield before
    await brandings.change_default(change(before))


class Directory(TenantLookup):
    """As TenantLookup: reads the database each time, or can't."""

    live = True

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self.away = False

    def peek(self, key: TenantKey) -> TenantRecord | Miss | None:
        return MISS

    async def find(self, key: TenantKey) -> TenantRecord | None:
        if self.away:
            raise Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "The tenant directory can't be reached.")
        tenant_id = parse_tenant_id(str(key))
        found = await (self._tenants.find(tenant_id) if tenant_id else self._tenants.find_by_name(str(key)))
        return None if found is None else found.record

    async def start(self) -> None: ...
    async def close(self) -> None: ...


@pytest.fixture
def directory(tenants: Tenants) -> Directory:
    return Directory(tenants)


@pytest.fixture
def shown(directory: Directory, doors: Doors) -> ShownBrandings:
    return ShownBrandings(directory, doors, timedelta())


async def test_a_tenant_has_its_own_branding_and_no_other(acme: Tenant, globex: Tenant, brandings: Brandings) -> None:
    empty = await brandings.get(acme.id)
    assert (empty.branding, empty.version, empty.update_time) == (Branding(), 0, None)
    stored = await brandings.change(acme.id, change(Branding("Acme", COLORS), etag=empty.etag))
    assert await brandings.get(acme.id) == stored
    assert (stored.branding, stored.version) == (Branding("Acme", COLORS), 1)
    assert (await brandings.get(globex.id)).branding == Branding()
    assert (await brandings.get(globex.id)).etag != empty.etag


async def test_a_mask_keeps_the_rest_and_the_same_again_stores_nothing(acme: Tenant, brandings: Brandings) -> None:
    first = await brandings.change(acme.id, change(Branding("Acme", COLORS)))
    second = await brandings.change(acme.id, change(Branding(logo_uri="https://a.example/l"), "logo_uri"))
    assert second.branding == replace(first.branding, logo_uri="https://a.example/l")
    assert await brandings.change(acme.id, change(second.branding)) == second
    assert (await brandings.change(acme.id, change(Branding()))).branding == Branding()


async def test_a_stale_etag_is_refused_and_so_are_colours_that_a_mask_spoils(
    acme: Tenant, brandings: Brandings
) -> None:
    empty = await brandings.get(acme.id)
    stored = await brandings.change(acme.id, change(Branding("Acme", COLORS)))
    for etag in (empty.etag, "x", "\x00", (await brandings.default()).etag):
        with pytest.raises(Aborted):
            await brandings.change(acme.id, change(Branding("Other"), etag=etag))
    with pytest.raises(InvalidArgument) as caught:
        await brandings.change(acme.id, change(Branding(colors=Colors("", "#111827", "")), "colors.background"))
    assert {violation.field for violation in caught.value.violations} == {
        "branding.colors.text", "branding.colors.primary",
    }  # fmt: skip
    assert await brandings.get(acme.id) == stored


async def test_of_changes_at_once_with_one_etag_one_is_stored(acme: Tenant, brandings: Brandings) -> None:
    etag = (await brandings.get(acme.id)).etag
    asked = [brandings.change(acme.id, change(Branding(f"Acme {number}"), etag=etag)) for number in range(10)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    stored = [outcome for outcome in outcomes if not isinstance(outcome, Aborted)]
    assert [await brandings.get(acme.id)] == stored


async def test_changes_at_once_of_different_fields_are_both_kept(acme: Tenant, brandings: Brandings) -> None:
    await asyncio.gather(
        brandings.change(acme.id, change(Branding("Acme"), "display_name")),
        brandings.change(acme.id, change(Branding(logo_uri="https://a.example/l"), "logo_uri")),
    )
    assert (await brandings.get(acme.id)).branding == Branding("Acme", logo_uri="https://a.example/l")


async def test_a_missing_tenant_has_no_branding_to_change(brandings: Brandings) -> None:
    with pytest.raises(NotFound):
        await brandings.change(TenantId(uuid.uuid4()), change(Branding("Acme")))


async def test_the_default_is_changed_and_needs_a_name_and_colours(brandings: Brandings, default: Branding) -> None:
    before = await brandings.default()
    changed = await brandings.change_default(change(Branding("Umbrella"), "display_name", etag=before.etag))
    assert changed.branding == replace(default, display_name="Umbrella")
    with pytest.raises(Aborted):
        await brandings.change_default(change(Branding("Other"), "display_name", etag=before.etag))
    with pytest.raises(InvalidArgument):
        await brandings.change_default(change(Branding()))
    assert await brandings.default() == changed


async def test_a_tenants_branding_is_shown_over_the_default(
    acme: Tenant, brandings: Brandings, shown: ShownBrandings, default: Branding
) -> None:
    await brandings.change(acme.id, change(Branding("Acme", logo_uri="https://a.example/l")))
    found = await shown.by_name(acme.slug)
    assert found.branding.display_name == "Acme"
    assert found.branding.colors == default.over(Branding()).colors
    assert await shown.by_name(acme.id) == found


async def test_all_that_must_look_alike_do(
    acme: Tenant,
    globex: Tenant,
    tenants: Tenants,
    brandings: Brandings,
    shown: ShownBrandings,
    migrated: WorkerDatabase,
) -> None:
    for tenant in (acme, globex):
        await brandings.change(tenant.id, change(Branding("Secret")))
    await tenants.suspend(acme.id, "unpaid", "")
    await as_superuser(migrated, "update tenant.tenants set state = 'DELETED' where tenant_id = $1", globex.id)
    unbranded = await tenants.create(new_tenant(), None)
    names: list[TenantKey | None] = [acme.slug, globex.slug, globex.id, unbranded.slug, "never-made", None]
    found = [await shown.by_name(name) for name in names]
    assert len({each.tag for each in found}) == 1
    assert found[0].branding == (await brandings.default()).branding.over(Branding())


async def test_a_change_a_suspension_and_a_new_default_are_shown_within_a_second(
    acme: Tenant, tenants: Tenants, brandings: Brandings, shown: ShownBrandings, default: Branding
) -> None:
    async def shows(name: str) -> bool:
        return (await shown.by_name(acme.slug)).branding.display_name == name

    async def soon(name: str) -> None:
        await eventually(lambda: shows(name))

    assert await shows(default.display_name)
    await brandings.change(acme.id, change(Branding("Acme")))
    await soon("Acme")
    await tenants.suspend(acme.id, "unpaid", "")
    await soon(default.display_name)
    await brandings.change_default(change(Branding("Umbrella"), "display_name"))
    await soon("Umbrella")


async def test_while_the_directory_is_away_every_name_has_the_same_refusal(
    acme: Tenant, directory: Directory, shown: ShownBrandings
) -> None:
    directory.away = True
    refusals = []
    for name in (acme.slug, "never-made"):
        with pytest.raises(Unavailable) as caught:
            await shown.by_name(name)
        refusals.append((caught.value.reason, caught.value.message))
    assert len(set(refusals)) == 1


async def test_every_answer_takes_a_whole_number_of_steps(acme: Tenant, directory: Directory, doors: Doors) -> None:
    held = ShownBrandings(directory, doors, timedelta(milliseconds=200))
    for name in (acme.slug, "never-made", None):
        begun = time.monotonic()
        await held.by_name(name)
        assert time.monotonic() - begun >= 0.2


async def test_memory_stays_bounded(shown: ShownBrandings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenantmesh.tenant_svc.branding.shown.CAPACITY", 3)
    for _ in range(10):
        await shown._read(uuid.uuid4())
    assert len(shown._known) == 3
