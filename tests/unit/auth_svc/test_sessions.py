"""Signing in, and staying signed in."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tenantmesh.auth_svc.accounts.accounts import Accounts, Registration, User
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.passwords.passwords import PasswordRules
from tenantmesh.auth_svc.sessions.attempts import ATTEMPTS, LOCAL_ATTEMPTS, LoginAttempts
from tenantmesh.auth_svc.sessions.refresh_tokens import RefreshTokens
from tenantmesh.auth_svc.sessions.session import Limits
from tenantmesh.auth_svc.sessions.sessions import Sessions, SignedIn
from tenantmesh.auth_svc.tokens.signing_keys import KeyRing, KeySchedule
from tenantmesh.auth_svc.tokens.tokens import AccessTokens
from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.errors import (
    InvalidArgument,
    MeshError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from tenantmesh.interceptors.limits import Decision, Rate, RateLimiter, StoreUnavailable
from tenantmesh.interceptors.tenants import TenantRecord, TenantState
from tenantmesh.runtime.encryption import KeyEncryptionKey
from tests.unit.auth_svc.memory import (
    GOOD_PASSWORD,
    OTHER_PASSWORD,
    Clock,
    CountingHasher,
    MemorySessions,
    MemorySigningKeys,
    MemoryTenants,
    MemoryUsers,
)

KEK = KeyEncryptionKey(bytes(32))
ALICE = "alice@example.com"


class StoreAway:
    """A limiter whose store can't be reached."""

    async def take(self, key: str, rate: Rate, cost: int = 1) -> Decision:
        raise StoreUnavailable


@dataclass
class World:
    """auth_svc's use cases over memory."""

    hasher: CountingHasher = field(default_factory=CountingHasher)
    clock: Clock = field(default_factory=Clock)
    limiter: RateLimiter = field(default_factory=MemoryRateLimiter)

    def __post_init__(self) -> None:
        self.hashing = Hashing(self.hasher, cores=16)
        self.users = MemoryUsers()
        self.store = MemorySessions(self.users)
        self.tenants = MemoryTenants()
        self.acme = self.tenants.make("acme")
        self.keys = KeyRing(MemorySigningKeys(), KEK, KeySchedule(), self.clock.timestamp)
        self.accounts = Accounts(self.users, PasswordRules.load(), self.hashing, self.clock)
        self.refresh_tokens = RefreshTokens(KEK.derive("refresh-tokens"))
        self.sessions = Sessions(
            users=self.users,
            sessions=self.store,
            tenants=self.tenants,
            hashing=self.hashing,
            attempts=LoginAttempts(self.limiter),
            access=AccessTokens("http://issuer.test", "tenantmesh", self.keys, self.clock.timestamp),
            refresh=self.refresh_tokens,
            kek=KEK,
            limits=Limits(),
            clock=self.clock,
        )

    async def register(self, tenant: TenantRecord, email: str = ALICE, password: str = GOOD_PASSWORD) -> None:
        await self.accounts.register(tenant, Registration(email, password, ""), None)

    async def sign_in(self) -> SignedIn:
        return await self.sessions.login(self.acme.id, ALICE, GOOD_PASSWORD)

    async def refresh(self, token: str, named: TenantRecord | None = None) -> str:
        return (await self.sessions.refresh(token, named)).refresh


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.keys.maintain()
    await world.register(world.acme)
    yield world
    await world.hashing.close()


async def refusal(attempt: Any) -> tuple[Any, ...]:
    with pytest.raises(MeshError) as refused:
        await attempt
    error = refused.value
    return type(error), error.reason, error.message, error.metadata, error.violations, error.retry_after


async def test_signing_in_yields_who_one_is_and_tokens(world: World) -> None:
    signed_in = await world.sign_in()
    assert isinstance(signed_in.user, User)
    assert signed_in.user.email == ALICE
    assert signed_in.tokens.refresh.startswith(f"tmr_{world.acme.id.hex}.")
    assert GOOD_PASSWORD not in repr(signed_in)
    assert signed_in.tokens.refresh not in repr(signed_in)


async def test_an_address_is_the_same_however_it_is_written(world: World) -> None:
    assert (await world.sessions.login(world.acme.id, "ALICE@Example.com", GOOD_PASSWORD)).user.email == ALICE


async def test_a_password_is_the_same_on_every_keyboard(world: World) -> None:
    spellings = ("Zoe\u0308 walks ﬁve blue dogs", "Zo\u00eb walks five blue dogs")
    await world.register(world.acme, "zoe@example.com", spellings[0])
    for spelling in spellings:
        assert await world.sessions.login(world.acme.id, "zoe@example.com", spelling)


async def test_unknown_addresses_and_wrong_passwords_are_refused_alike_at_the_same_cost(world: World) -> None:
    before = world.hasher.work
    wrong = await refusal(world.sessions.login(world.acme.id, ALICE, OTHER_PASSWORD))
    cost_of_wrong, before = world.hasher.work - before, world.hasher.work
    unknown = await refusal(world.sessions.login(world.acme.id, "nobody@example.com", OTHER_PASSWORD))
    assert world.hasher.work - before == cost_of_wrong == 1
    assert unknown == wrong
    assert wrong[:2] == (Unauthenticated, "INVALID_CREDENTIALS")


async def test_an_account_of_one_tenant_is_unknown_in_another(world: World) -> None:
    umbrella = world.tenants.make("umbrella")
    here = await refusal(world.sessions.login(umbrella.id, ALICE, GOOD_PASSWORD))
    assert here == await refusal(world.sessions.login(world.acme.id, "nobody@example.com", GOOD_PASSWORD))


async def test_what_can_not_be_credentials_is_listed_at_once_before_anything_is_counted_or_hashed(world: World) -> None:
    before = world.hasher.work
    for _ in range(ATTEMPTS.burst + 1):
        with pytest.raises(InvalidArgument) as refused:
            await world.sessions.login(world.acme.id, "nonsense", "")
        assert [violation.field for violation in refused.value.violations] == ["email", "password"]
    with pytest.raises(InvalidArgument):
        await world.sessions.login(world.acme.id, ALICE, "x" * 1025)
    assert world.hasher.work == before


@pytest.mark.parametrize("address", [ALICE, "nobody@example.com"])
async def test_parallel_guesses_are_counted_before_they_are_hashed(world: World, address: str) -> None:
    before = world.hasher.work
    spellings = (address, address.upper(), address.title())
    guesses = (world.sessions.login(world.acme.id, spellings[n % 3], f"guess number {n}") for n in range(1000))
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert world.hasher.work - before == ATTEMPTS.burst
    limited = [outcome for outcome in outcomes if isinstance(outcome, ResourceExhausted)]
    assert len(limited) == 1000 - ATTEMPTS.burst
    assert {each.reason for each in limited} == {"RATE_LIMITED"}
    assert all(each.retry_after is not None and each.retry_after > timedelta() for each in limited)


async def test_attempts_of_one_tenant_are_not_counted_in_another(world: World) -> None:
    umbrella = world.tenants.make("umbrella")
    for _ in range(ATTEMPTS.burst):
        await refusal(world.sessions.login(umbrella.id, ALICE, OTHER_PASSWORD))
    assert (await refusal(world.sessions.login(umbrella.id, ALICE, OTHER_PASSWORD)))[1] == "RATE_LIMITED"
    await world.sign_in()


async def test_while_the_counters_are_away_each_process_counts_fewer_by_itself() -> None:
    world = World(limiter=StoreAway())
    await world.keys.maintain()
    await world.register(world.acme)
    reasons = [(await refusal(world.sessions.login(world.acme.id, ALICE, OTHER_PASSWORD)))[1] for _ in range(8)]
    assert reasons == ["INVALID_CREDENTIALS"] * LOCAL_ATTEMPTS.burst + ["RATE_LIMITED"] * (8 - LOCAL_ATTEMPTS.burst)
    await world.hashing.close()


async def test_a_hash_with_old_parameters_is_replaced_when_its_owner_signs_in(world: World) -> None:
    await world.hashing.close()
    newer = World(hasher=CountingHasher(time_cost=2), clock=world.clock)
    newer.sessions._users = world.users
    await newer.keys.maintain()
    (before,) = world.users.accounts.values()
    await refusal(newer.sessions.login(world.acme.id, ALICE, OTHER_PASSWORD))
    assert list(world.users.accounts.values()) == [before]
    await newer.sessions.login(world.acme.id, ALICE, GOOD_PASSWORD)
    (after,) = world.users.accounts.values()
    assert ",t=1," in before.password_hash
    assert ",t=2," in after.password_hash
    await newer.sessions.login(world.acme.id, ALICE, GOOD_PASSWORD)
    await newer.hashing.close()


async def test_a_refresh_token_is_exchanged_for_another(world: World) -> None:
    first = (await world.sign_in()).tokens.refresh
    second = await world.refresh(first)
    third = await world.refresh(second)
    assert len({first, second, third}) == 3


async def test_the_store_never_sees_a_refresh_token(world: World) -> None:
    first = (await world.sign_in()).tokens.refresh
    second = await world.refresh(first)
    stored = repr(list(world.store.sessions.values()))
    assert first.rpartition(".")[2] not in stored
    assert second.rpartition(".")[2] not in stored


async def test_parallel_exchanges_of_one_token_yield_one_successor(world: World) -> None:
    first = (await world.sign_in()).tokens.refresh
    successors = await asyncio.gather(*(world.refresh(first) for _ in range(50)))
    assert len(set(successors)) == 1
    await world.refresh(successors[0])


async def test_within_its_grace_a_used_token_yields_the_same_successor_though_that_was_used_too(world: World) -> None:
    first = (await world.sign_in()).tokens.refresh
    second = await world.refresh(first)
    world.clock.pass_(seconds=4)
    third = await world.refresh(second)
    world.clock.pass_(seconds=5.9)
    assert await world.refresh(first) == second
    assert await world.refresh(second) == third
    await world.refresh(third)


@pytest.mark.parametrize("rotations", [1, 2, 5])
async def test_after_its_grace_a_used_token_ends_the_session_however_old_it_is(world: World, rotations: int) -> None:
    first = latest = (await world.sign_in()).tokens.refresh
    for _ in range(rotations):
        latest = await world.refresh(latest)
        world.clock.pass_(seconds=10)
    with capture_logs() as logs:
        assert (await refusal(world.refresh(first)))[1] == "SESSION_ENDED"
    ((_, session_id),) = world.store.sessions
    assert [entry["session_id"] for entry in logs if entry.get("security")] == [str(session_id)]
    assert first not in repr(logs)
    assert (await refusal(world.refresh(latest)))[1] == "SESSION_ENDED"
    (session,) = world.store.sessions.values()
    assert session.revoke_reason == "reuse"


async def test_an_invented_token_for_a_known_session_ends_nothing_and_reaches_no_store(world: World) -> None:
    token = (await world.sign_in()).tokens.refresh
    (session,) = world.store.sessions.values()
    invented = RefreshTokens(bytes(range(32))).issue(world.acme.id, session.id).text
    assert (await refusal(world.refresh(invented)))[1] == "SESSION_ENDED"
    assert world.store.holds == 0
    await world.refresh(token)


async def test_reuse_in_one_session_leaves_the_others(world: World) -> None:
    stolen, other = (await world.sign_in()).tokens.refresh, (await world.sign_in()).tokens.refresh
    await world.refresh(stolen)
    world.clock.pass_(seconds=11)
    await refusal(world.refresh(stolen))
    assert await world.refresh(other)


async def test_a_session_ends_when_it_is_not_used_for_a_week(world: World) -> None:
    token = (await world.sign_in()).tokens.refresh
    world.clock.pass_(days=7, seconds=-1)
    token = await world.refresh(token)
    world.clock.pass_(days=7)
    assert (await refusal(world.refresh(token)))[1] == "SESSION_ENDED"


async def test_a_session_ends_after_thirty_days_however_much_it_is_used(world: World) -> None:
    token = (await world.sign_in()).tokens.refresh
    for _ in range(5):
        world.clock.pass_(days=5)
        token = await world.refresh(token)
    world.clock.pass_(days=5)
    assert (await refusal(world.refresh(token)))[1] == "SESSION_ENDED"


async def test_every_reason_to_end_reads_the_same(world: World) -> None:
    used = (await world.sign_in()).tokens.refresh
    gone = world.refresh_tokens.issue(world.acme.id, uuid.uuid4()).text
    await world.refresh(used)
    world.clock.pass_(seconds=11)
    answers = [await refusal(world.refresh(token)) for token in (used, used, gone, "nonsense", "")]
    assert len(set(map(repr, answers))) == 1


async def test_a_call_may_name_no_other_tenant_than_the_token(world: World) -> None:
    token = (await world.sign_in()).tokens.refresh
    umbrella = world.tenants.make("umbrella")
    kind, reason, *_ = await refusal(world.refresh(token, umbrella))
    assert (kind, reason) == (PermissionDenied, "TENANT_MISMATCH")
    await world.refresh(token, world.acme)


async def test_suspended_and_deleted_tenants_are_not_served(world: World) -> None:
    token = (await world.sign_in()).tokens.refresh
    world.tenants.set_state(world.acme, TenantState.SUSPENDED)
    assert (await refusal(world.refresh(token)))[:2] == (PermissionDenied, "TENANT_SUSPENDED")
    world.tenants.set_state(world.acme, TenantState.DELETED)
    assert (await refusal(world.refresh(token)))[:2] == (NotFound, "TENANT_NOT_FOUND")
    world.tenants.set_state(world.acme, TenantState.ACTIVE)
    await world.refresh(token)


def test_limits_are_the_agreed_ones() -> None:
    assert (Limits().idle, Limits().absolute, Limits().grace) == (
        timedelta(days=7), timedelta(days=30), timedelta(seconds=10),
    )  # fmt: skip
