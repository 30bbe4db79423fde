"""Set-up links on a real PostgreSQL: one use, one tenant, one step."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import FailedPrecondition, InvalidArgument, NotFound
from tenantmesh.tenant_svc.history.history import History
from tenantmesh.tenant_svc.setup_links import repository
from tenantmesh.tenant_svc.setup_links import setup_links as module
from tenantmesh.tenant_svc.setup_links.makers import LinkMaker
from tenantmesh.tenant_svc.setup_links.setup_link import LinkState, LinkToken, NewSetupLink, SetupIntent, SetupLink
from tenantmesh.tenant_svc.setup_links.setup_links import SetupLinks
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.setup_links.steps import KeysOfMakers, RecordingStep
from tests.integration.tenant_svc.stage import as_superuser

ACTOR = "credential-of-a-user"
MAKER = LinkMaker(ACTOR)
NEW = NewSetupLink(SetupIntent.LOGIN_HOST, "for the people of IT", timedelta(minutes=5))
HOST = "login.acme.example"


@pytest.fixture
def step() -> RecordingStep:
    return RecordingStep()


@pytest.fixture
def makers() -> KeysOfMakers:
    return KeysOfMakers()


@pytest.fixture
def links(doors: Doors, step: RecordingStep, makers: KeysOfMakers) -> SetupLinks:
    return SetupLinks(doors, {SetupIntent.LOGIN_HOST: step}, makers)


async def effects(history: History, tenant: Tenant) -> list[tuple[str, str]]:
    """Actor and name of each step that was done for the tenant."""
    changes = (await history.page(tenant.id, 100, "")).items
    return [(change.actor, change.after) for change in changes if change.feature == "core"]


async def invalid(links: SetupLinks, token: str) -> set[tuple[str, str]]:
    """The refusals of the token, by looking it up and by redeeming it."""
    found = set()
    for asked in (links.look_up(token), links.redeem(token, HOST)):
        with pytest.raises(NotFound) as caught:
            await asked
        found.add((caught.value.reason, caught.value.message))
    return found


async def test_a_link_does_its_step_once_in_its_tenant_and_says_by_whom(
    acme: Tenant, globex: Tenant, links: SetupLinks, history: History
) -> None:
    made, token = await links.create(acme.id, NEW, MAKER)
    assert (made.state, made.note, made.actor) == (LinkState.OPEN, NEW.note, ACTOR)
    for _ in range(2):
        assert await links.look_up(token.text) == (await only(links, acme), acme.display_name)
    link, result = await links.redeem(token.text, HOST)
    assert (link.id, result.name) == (made.id, HOST)
    assert await effects(history, acme) == [(f"through link {made.id} by {ACTOR}", HOST)]
    assert await effects(history, globex) == []
    used = await only(links, acme)
    assert (used.state, used.result) == (LinkState.USED, HOST)
    assert (await links.page(globex.id, 0, "")).items == []


async def only(links: SetupLinks, tenant: Tenant) -> SetupLink:
    (link,) = (await links.page(tenant.id, 0, "")).items
    return link


async def test_of_fifty_uses_at_once_one_succeeds(acme: Tenant, links: SetupLinks, history: History) -> None:
    _, token = await links.create(acme.id, NEW, MAKER)
    asked = [links.redeem(token.text, f"host{number}.example") for number in range(50)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(refused) == 49
    assert Counter(getattr(each, "reason", repr(each)) for each in refused) == {"SETUP_LINK_INVALID": 49}
    assert len(await effects(history, acme)) == 1


async def test_links_that_cannot_be_used_answer_alike(
    acme: Tenant, globex: Tenant, tenants: Tenants, links: SetupLinks, migrated: WorkerDatabase, step: RecordingStep
) -> None:
    used, revoked, expired = [await links.create(acme.id, NEW, MAKER) for _ in range(3)]
    suspended, deleted = await links.create(globex.id, NEW, MAKER), await links.create(acme.id, NEW, MAKER)
    await links.redeem(used[1].text, HOST)
    await links.revoke(acme.id, str(revoked[0].id))
    await as_superuser(
        migrated, "update tenant.setup_links set expire_time = now() where setup_link_id = $1", expired[0].id
    )
    await tenants.suspend(globex.id, "unpaid", "")
    tokens = [made[1].text for made in (used, revoked, expired, suspended)]
    answers = [await invalid(links, token) for token in [*tokens, LinkToken.new().text, "tml_", "x" * 10_000, "\x00"]]
    await as_superuser(migrated, "update tenant.tenants set state = 'DELETED' where tenant_id = $1", acme.id)
    answers.append(await invalid(links, deleted[1].text))
    assert len(set.union(*answers)) == 1
    assert step.runs == 1


async def test_a_refused_input_leaves_the_link_open_and_no_trace(
    acme: Tenant, links: SetupLinks, history: History
) -> None:
    _, token = await links.create(acme.id, NEW, MAKER)
    for name in ("bad.example", "", "two\nlines", "x" * 10_000, "\u200b"):
        with pytest.raises(InvalidArgument) as caught:
            await links.redeem(token.text, name)
        assert [violation.field for violation in caught.value.violations] == ["name"]
    assert await effects(history, acme) == []
    assert (await links.redeem(token.text, HOST))[1].name == HOST


async def test_a_link_that_is_revoked_while_its_step_waits_is_used(
    acme: Tenant, links: SetupLinks, step: RecordingStep
) -> None:
    """One of the two comes first, and the other sees it."""
    made, token = await links.create(acme.id, NEW, MAKER)
    step.leave = asyncio.Event()
    redeemed = asyncio.create_task(links.redeem(token.text, HOST))
    await step.entered.wait()
    revoked = asyncio.create_task(links.revoke(acme.id, str(made.id)))
    await asyncio.sleep(0.05)
    assert not revoked.done()
    step.leave.set()
    await redeemed
    assert (await revoked).state is LinkState.USED


async def test_a_foreign_link_is_a_missing_one(acme: Tenant, globex: Tenant, links: SetupLinks) -> None:
    made, token = await links.create(acme.id, NEW, MAKER)
    refusals = []
    for link_id in (str(made.id), "0192aaaa-0000-7000-8000-000000000001", "x", "\x00", token.text):
        with pytest.raises(NotFound) as caught:
            await links.revoke(globex.id, link_id)
        refusals.append((caught.value.reason, caught.value.message))
    assert len(set(refusals)) == 1
    assert (await links.look_up(token.text))[0].state is LinkState.OPEN


async def test_revoking_again_changes_nothing(acme: Tenant, links: SetupLinks) -> None:
    made, _ = await links.create(acme.id, NEW, MAKER)
    first, second = [await links.revoke(acme.id, str(made.id)) for _ in range(2)]
    assert (first.state, first.revoke_time) == (LinkState.REVOKED, second.revoke_time)


async def test_open_links_and_kept_ones_are_bounded(
    acme: Tenant, globex: Tenant, links: SetupLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_OPEN", 3)
    monkeypatch.setattr(module, "MOST_KEPT", 5)
    outcomes = await asyncio.gather(*(links.create(acme.id, NEW, MAKER) for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(outcome, FailedPrecondition) for outcome in outcomes) == 3
    for _ in range(2):
        for link in (await links.page(acme.id, 0, "")).items:
            await links.revoke(acme.id, str(link.id))
        for _ in range(3):
            await links.create(acme.id, NEW, MAKER)
    kept = (await links.page(acme.id, 0, "")).items
    assert [link.state for link in kept] == [LinkState.OPEN] * 3 + [LinkState.REVOKED] * 2
    await links.create(globex.id, NEW, MAKER)


async def test_pages_are_of_one_tenant(acme: Tenant, globex: Tenant, links: SetupLinks) -> None:
    made = [(await links.create(acme.id, NEW, MAKER))[0].id for _ in range(3)]
    first = await links.page(acme.id, 2, "")
    second = await links.page(acme.id, 2, first.next_token)
    assert [link.id for link in (*first.items, *second.items)] == made[::-1]
    with pytest.raises(InvalidArgument):
        await links.page(globex.id, 2, first.next_token)


async def test_the_secret_is_nowhere_in_the_database(acme: Tenant, links: SetupLinks, migrated: WorkerDatabase) -> None:
    _, token = await links.create(acme.id, NEW, MAKER)
    found = await as_superuser(
        migrated,
        "select from tenant.setup_links where setup_links::text like '%' || $1 || '%' or secret_hash = $2",
        token.text.removeprefix("tml_"),
        token.text.encode(),
    )
    assert found == "SELECT 0"


async def test_only_the_own_links_are_seen_through_a_tenants_door(
    acme: Tenant, globex: Tenant, links: SetupLinks, doors: Doors
) -> None:
    made, _ = await links.create(acme.id, NEW, MAKER)
    async with doors.tenant(globex.id) as connection:
        assert await repository.get_locked(connection, acme.id, made.id) is None
