"""Signing in, and staying signed in."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest

from tenantmesh.auth_svc.accounts.user import User
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.sessions.attempts import ATTEMPTS, LOCAL_ATTEMPTS
from tenantmesh.auth_svc.sessions.failures import FailureLimits
from tenantmesh.auth_svc.sessions.password_login import PasswordLogin
from tenantmesh.auth_svc.sessions.refresh_tokens import RefreshTokens
from tenantmesh.interceptors.errors import (
    InvalidArgument,
    MeshError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from tenantmesh.interceptors.limits import Rate, RateDecision, StoreUnavailable
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.runtime.encryption import KeyEncryptionKey
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import as_superuser
from tests.integration.auth_svc.world import ALICE, HOME, WatchingHasher, World, running
from tests.passwords import GOOD_PASSWORD, OTHER_PASSWORD, CountingHasher

BOB = "bob@example.com"


class StoreAway:
    """A limiter whose store can't be reached."""

    async def take(self, key: str, rate: Rate, cost: int = 1) -> RateDecision:
        raise StoreUnavailable


@pytest.fixture(autouse=True)
async def alice(world: World) -> None:
    await world.register()


async def refusal(attempt: Any) -> tuple[Any, ...]:
    with pytest.raises(MeshError) as refused:
        await attempt
    error = refused.value
    return type(error), error.reason, error.message, error.metadata, error.violations, error.retry_after


async def stored_hash(postgres: WorkerDatabase, world: World) -> str:
    (row,) = await as_superuser(postgres, "SELECT password_hash FROM auth.users WHERE tenant_id = $1", world.acme.id)
    return str(row["password_hash"])


async def stored_sessions(postgres: WorkerDatabase, world: World) -> list[dict[str, Any]]:
    return await as_superuser(
        postgres,
        "SELECT session_id, revoke_reason, to_jsonb(s)::text AS row FROM auth.sessions s WHERE tenant_id = $1",
        world.acme.id,
    )


def work(world: World) -> int:
    assert isinstance(world.hasher, CountingHasher)
    return world.hasher.work


async def test_signing_in_yields_who_one_is_and_tokens(world: World) -> None:
    signed_in = await world.login()
    assert isinstance(signed_in.user, User)
    assert signed_in.user.email == ALICE
    assert signed_in.tokens.refresh.startswith(f"tmr_{world.acme.id.hex}.")
    assert GOOD_PASSWORD not in repr(signed_in)
    assert signed_in.tokens.refresh not in repr(signed_in)


async def test_an_address_is_the_same_however_it_is_written(world: World) -> None:
    assert (await world.login("ALICE@Example.com")).user.email == ALICE


async def test_a_password_is_the_same_on_every_keyboard(world: World) -> None:
    spellings = ("Zoe\u0308 walks ﬁve blue dogs", "Zo\u00eb walks five blue dogs")
    await world.register("zoe@example.com", spellings[0])
    for spelling in spellings:
        assert await world.login("zoe@example.com", spelling)


async def test_unknown_addresses_and_wrong_passwords_are_refused_alike_at_the_same_cost(world: World) -> None:
    before = work(world)
    wrong = await refusal(world.login(ALICE, OTHER_PASSWORD))
    cost_of_wrong, before = work(world) - before, work(world)
    unknown = await refusal(world.login("nobody@example.com", OTHER_PASSWORD))
    assert work(world) - before == cost_of_wrong == 1
    assert unknown == wrong
    assert wrong[:2] == (Unauthenticated, "INVALID_CREDENTIALS")


async def test_an_account_of_one_tenant_is_unknown_in_another(world: World) -> None:
    here = await refusal(world.login(tenant=world.tenants.add()))
    assert here == await refusal(world.login("nobody@example.com"))


async def test_what_can_not_be_credentials_is_listed_at_once_before_anything_is_counted_or_hashed(world: World) -> None:
    before = work(world)
    for _ in range(ATTEMPTS.burst + 1):
        with pytest.raises(InvalidArgument) as refused:
            await world.login("nonsense", "")
        assert [violation.field for violation in refused.value.violations] == ["email", "password"]
    with pytest.raises(InvalidArgument):
        await world.login(ALICE, "x" * 1025)
    assert work(world) == before


@pytest.mark.parametrize("address", [ALICE, "nobody@example.com"])
async def test_parallel_guesses_are_counted_before_they_are_hashed(world: World, address: str) -> None:
    before = work(world)
    spellings = (address, address.upper(), address.title())
    guesses = (world.login(spellings[n % 3], f"guess number {n}") for n in range(90))
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert work(world) - before == ATTEMPTS.burst
    limited = [outcome for outcome in outcomes if isinstance(outcome, ResourceExhausted)]
    assert len(limited) == 90 - ATTEMPTS.burst
    assert {each.reason for each in limited} == {"RATE_LIMITED"}
    assert all(each.retry_after is not None and each.retry_after > timedelta() for each in limited)


async def test_attempts_of_one_tenant_are_not_counted_in_another(world: World) -> None:
    umbrella = world.tenants.add()
    for _ in range(ATTEMPTS.burst):
        await refusal(world.login(ALICE, OTHER_PASSWORD, tenant=umbrella))
    assert (await refusal(world.login(ALICE, OTHER_PASSWORD, tenant=umbrella)))[1] == "RATE_LIMITED"
    await world.login()


async def test_while_the_counters_are_away_each_process_counts_fewer_by_itself(world: World) -> None:
    async with running(World(world.doors, world.kek, limiter=StoreAway())) as away:
        await away.register()
        reasons = [(await refusal(away.login(ALICE, OTHER_PASSWORD)))[1] for _ in range(8)]
    assert reasons == ["INVALID_CREDENTIALS"] * LOCAL_ATTEMPTS.burst + ["RATE_LIMITED"] * (8 - LOCAL_ATTEMPTS.burst)


async def test_a_hash_with_old_parameters_is_replaced_when_its_owner_signs_in(
    world: World, postgres: WorkerDatabase
) -> None:
    async with running(World(world.doors, world.kek, CountingHasher(time_cost=2))) as newer:
        before = await stored_hash(postgres, world)
        await refusal(newer.login(ALICE, OTHER_PASSWORD, tenant=world.acme))
        assert await stored_hash(postgres, world) == before
        await newer.login(tenant=world.acme)
        after = await stored_hash(postgres, world)
        assert ",t=1," in before
        assert ",t=2," in after
        await newer.login(tenant=world.acme)
        assert await stored_hash(postgres, world) == after


async def test_no_transaction_is_open_while_a_password_is_compared_or_hashed_anew(world: World) -> None:
    hasher = WatchingHasher(world.doors, time_cost=2)
    async with running(World(world.doors, world.kek, hasher)) as newer:
        hasher.open_transactions.clear()
        await newer.login(tenant=world.acme)
    assert hasher.open_transactions == [0, 0]


async def test_a_refresh_token_is_exchanged_for_another(world: World) -> None:
    first = await world.sign_in()
    second = await world.refresh(first)
    third = await world.refresh(second)
    assert len({first, second, third}) == 3


async def test_the_database_never_sees_a_refresh_token(world: World, postgres: WorkerDatabase) -> None:
    first = await world.sign_in()
    second = await world.refresh(first)
    stored = repr(await stored_sessions(postgres, world))
    for token in (first, second):
        secret = token.rpartition(".")[2]
        assert secret not in stored
        assert secret.encode().hex() not in stored


async def test_parallel_exchanges_of_one_token_yield_one_successor(world: World) -> None:
    first = await world.sign_in()
    successors = await asyncio.gather(*(world.refresh(first) for _ in range(50)))
    assert len(set(successors)) == 1
    await world.refresh(successors[0])


async def test_within_its_grace_a_used_token_yields_the_active_one_however_many_came_between(world: World) -> None:
    first = await world.sign_in()
    second = await world.refresh(first)
    world.clock.advance(seconds=4)
    third = await world.refresh(second)
    world.clock.advance(seconds=5.9)
    assert await world.refresh(first) == third
    assert await world.refresh(second) == third
    fourth = await world.refresh(third)
    assert {await world.refresh(token) for token in (first, second, third)} == {fourth}


async def test_a_slow_tab_signs_nobody_out(world: World, postgres: WorkerDatabase) -> None:
    shared = await world.sign_in()
    fast = await world.refresh(await world.refresh(shared))
    world.clock.advance(seconds=9)
    slow = await world.refresh(shared)
    world.clock.advance(minutes=5)  # every grace is over
    fast = await world.refresh(fast)
    assert await world.refresh(slow) == fast
    world.clock.advance(minutes=5)
    await world.refresh(fast)
    (session,) = await stored_sessions(postgres, world)
    assert session["revoke_reason"] is None


async def test_repeated_uses_do_not_extend_a_grace(world: World, postgres: WorkerDatabase) -> None:
    stolen = await world.sign_in()
    latest = await world.refresh(stolen)
    for _ in range(3):
        world.clock.advance(seconds=3)
        latest = await world.refresh(latest)
        assert await world.refresh(stolen) == latest
    world.clock.advance(seconds=1)
    assert (await refusal(world.refresh(stolen)))[1] == "SESSION_ENDED"
    assert (await refusal(world.refresh(latest)))[1] == "SESSION_ENDED"
    (session,) = await stored_sessions(postgres, world)
    assert session["revoke_reason"] == "reuse"


@pytest.mark.parametrize("rotations", [1, 2, 5])
async def test_after_its_grace_a_used_token_ends_the_session_however_old_it_is(
    world: World, postgres: WorkerDatabase, caplog: pytest.LogCaptureFixture, rotations: int
) -> None:
    first = latest = await world.sign_in()
    for _ in range(rotations):
        latest = await world.refresh(latest)
        world.clock.advance(seconds=10)
    assert (await refusal(world.refresh(first)))[1] == "SESSION_ENDED"
    logs = [vars(record) for record in caplog.records]
    (session,) = await stored_sessions(postgres, world)
    assert [entry["session_id"] for entry in logs if entry.get("security")] == [str(session["session_id"])]
    assert first not in repr(logs)
    assert (await refusal(world.refresh(latest)))[1] == "SESSION_ENDED"
    assert session["revoke_reason"] == "reuse"


async def test_an_invented_token_for_a_known_session_ends_nothing_and_opens_no_transaction(
    world: World, postgres: WorkerDatabase
) -> None:
    token = await world.sign_in()
    (session,) = await stored_sessions(postgres, world)
    stranger = RefreshTokens(KeyEncryptionKey(bytes(32)))
    invented, opened = stranger.issue(world.acme.id, session["session_id"]).text, world.doors.opened
    assert (await refusal(world.refresh(invented)))[1] == "SESSION_ENDED"
    assert world.doors.opened == opened
    await world.refresh(token)


async def test_reuse_in_one_session_leaves_the_others(world: World) -> None:
    stolen, other = await world.sign_in(), await world.sign_in()
    await world.refresh(stolen)
    world.clock.advance(seconds=11)
    await refusal(world.refresh(stolen))
    assert await world.refresh(other)


async def test_a_session_ends_when_it_is_not_used_for_a_week(world: World) -> None:
    token = await world.sign_in()
    world.clock.advance(days=7, seconds=-1)
    token = await world.refresh(token)
    world.clock.advance(days=7)
    assert (await refusal(world.refresh(token)))[1] == "SESSION_ENDED"


async def test_a_session_ends_after_thirty_days_however_much_it_is_used(world: World) -> None:
    token = await world.sign_in()
    for _ in range(5):
        world.clock.advance(days=5)
        token = await world.refresh(token)
    world.clock.advance(days=5)
    assert (await refusal(world.refresh(token)))[1] == "SESSION_ENDED"


async def test_every_reason_to_end_reads_the_same(world: World) -> None:
    used = await world.sign_in()
    gone = world.refresh_tokens.issue(world.acme.id, uuid.uuid4()).text
    await world.refresh(used)
    world.clock.advance(seconds=11)
    answers = [await refusal(world.refresh(token)) for token in (used, used, gone, "nonsense", "")]
    assert len(set(map(repr, answers))) == 1


async def test_a_call_may_name_no_other_tenant_than_the_token(world: World) -> None:
    token = await world.sign_in()
    kind, reason, *_ = await refusal(world.refresh(token, world.tenants.add()))
    assert (kind, reason) == (PermissionDenied, "TENANT_MISMATCH")
    await world.refresh(token, world.acme)


async def test_suspended_and_deleted_tenants_are_not_served(world: World) -> None:
    token = await world.sign_in()
    world.tenants.set_state(world.acme, TenantState.SUSPENDED)
    assert (await refusal(world.refresh(token)))[:2] == (PermissionDenied, "TENANT_SUSPENDED")
    world.tenants.set_state(world.acme, TenantState.DELETED)
    assert (await refusal(world.refresh(token)))[:2] == (NotFound, "TENANT_NOT_FOUND")
    world.tenants.set_state(world.acme, TenantState.ACTIVE)
    await world.refresh(token)


async def test_a_session_is_live_in_its_own_tenant_until_it_ends(world: World, postgres: WorkerDatabase) -> None:
    token = await world.sign_in()
    (session,) = await stored_sessions(postgres, world)
    live, elsewhere = world.sessions.is_live, world.tenants.add()
    assert await live(world.acme.id, session["session_id"])
    assert not await live(elsewhere.id, session["session_id"])
    assert not await live(world.acme.id, uuid.uuid4())
    await world.refresh(token)
    world.clock.advance(seconds=10)
    await refusal(world.refresh(token))
    assert not await live(world.acme.id, session["session_id"])


async def test_signing_in_deletes_the_same_users_ended_sessions_only(world: World, postgres: WorkerDatabase) -> None:
    await world.register(BOB)
    await world.login(BOB)
    (of_bob,) = await stored_sessions(postgres, world)
    await world.sign_in()
    world.clock.advance(days=6)
    used = await world.sign_in()
    await world.refresh(used)
    world.clock.advance(seconds=10)
    await refusal(world.refresh(used))  # revoked: kept, so that introspection can tell
    before = {row["session_id"] for row in await stored_sessions(postgres, world)}
    world.clock.advance(days=1)
    await world.sign_in()
    after = {row["session_id"]: row["revoke_reason"] for row in await stored_sessions(postgres, world)}
    assert len(before) == 3
    assert of_bob["session_id"] in after
    assert len(before - set(after)) == 1, "Alice's idle session is gone"
    assert list(after.values()).count("reuse") == 1


async def test_an_attempt_that_gets_no_turn_to_hash_costs_the_account_nothing(world: World) -> None:
    for limiter in (world.limiter, StoreAway()):
        async with running(World(world.doors, world.kek, limiter=limiter)) as busy:
            await busy.register()
            await busy.hashing.close()
            busy.hashing = Hashing(busy.hasher, cores=1, tenant_places=1)
            login = PasswordLogin(busy.doors, busy.hashing, busy.attempts, busy.failed, busy.sessions)

            async def attempt(login: PasswordLogin = login, tenant: TenantId = busy.acme.id) -> str:
                return str((await refusal(login.login(tenant, ALICE, OTHER_PASSWORD, HOME)))[1])

            async with busy.hashing.turn("other", ""), busy.hashing.turn("other", ""):
                first = asyncio.create_task(attempt())
                while not busy.hashing.waiting:
                    await asyncio.sleep(0)
                assert {await attempt() for _ in range(ATTEMPTS.burst * 2)} == {"HASHING_BUSY"}
            assert await first == "INVALID_CREDENTIALS"
            left = (ATTEMPTS if limiter is world.limiter else LOCAL_ATTEMPTS).burst - 1
            assert [await attempt() for _ in range(left + 1)] == ["INVALID_CREDENTIALS"] * left + ["RATE_LIMITED"]


async def test_guesses_at_many_accounts_limit_the_addresses_they_come_from_and_nobody_else(world: World) -> None:
    limits = FailureLimits(tenant=Rate(1e-6, 5), address=Rate(1e-6, 2))
    async with running(World(world.doors, world.kek, failures=limits)) as guessed:
        await guessed.register()
        guesses = [guessed.login(f"user{n}@example.com", OTHER_PASSWORD, network="203.0.113.9") for n in range(9)]
        reasons = [(await refusal(guess))[1] for guess in guesses]
        assert reasons == ["INVALID_CREDENTIALS"] * 7 + ["RATE_LIMITED"] * 2
        assert await guessed.login(network="198.51.100.1")
        assert (await refusal(guessed.login(network="203.0.113.9")))[1] == "RATE_LIMITED"
