"""Registering, and knowing who one is."""

import uuid
from collections.abc import AsyncIterator

import pytest

from tenantmesh.auth_svc.accounts.accounts import Accounts, Registration, UserId
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.passwords.passwords import PasswordRules
from tenantmesh.interceptors.errors import InvalidArgument, Unauthenticated
from tests.unit.auth_svc.memory import GOOD_PASSWORD, OTHER_PASSWORD, CountingHasher, MemoryTenants, MemoryUsers

HASHER = CountingHasher()
ACME, UMBRELLA = MemoryTenants().make("acme"), MemoryTenants().make("umbrella")


@pytest.fixture
def users() -> MemoryUsers:
    return MemoryUsers()


@pytest.fixture
async def accounts(users: MemoryUsers) -> AsyncIterator[Accounts]:
    hashing = Hashing(HASHER)
    yield Accounts(users, PasswordRules.load(), hashing)
    await hashing.close()


async def test_who_registers_is_a_member_named_by_the_address(accounts: Accounts, users: MemoryUsers) -> None:
    await accounts.register(ACME, Registration("Alice@Example.com", GOOD_PASSWORD, ""), None)
    ((_, normalised), account) = next(iter(users.accounts.items()))
    assert normalised == "alice@example.com"
    assert (account.user.email, account.user.display_name) == ("Alice@Example.com", "Alice")
    assert account.user.roles == ("member",)
    assert account.user.id.version == 7
    assert account.password_hash.startswith("$argon2id$")
    assert account.password_hash not in repr(account)


async def test_registering_twice_costs_the_same_and_changes_nothing(accounts: Accounts, users: MemoryUsers) -> None:
    before = HASHER.work
    await accounts.register(ACME, Registration("alice@example.com", GOOD_PASSWORD, "Alice"), None)
    first, before, stored = HASHER.work - before, HASHER.work, dict(users.accounts)
    await accounts.register(ACME, Registration("ALICE@example.com", OTHER_PASSWORD, "Mallory"), None)
    assert HASHER.work - before == first == 1
    assert users.accounts == stored


async def test_the_same_address_in_two_tenants_is_two_people(accounts: Accounts, users: MemoryUsers) -> None:
    for tenant in (ACME, UMBRELLA):
        await accounts.register(tenant, Registration("alice@example.com", GOOD_PASSWORD, ""), None)
    assert len({account.user.id for account in users.accounts.values()}) == 2


async def test_every_broken_field_is_listed_at_once_and_nothing_is_hashed(accounts: Accounts) -> None:
    before = HASHER.work
    with pytest.raises(InvalidArgument) as refused:
        await accounts.register(ACME, Registration("nonsense", "short secret", "x" * 201), None)
    assert [violation.field for violation in refused.value.violations] == ["email", "password", "display_name"]
    assert "short secret" not in refused.value.message
    assert HASHER.work == before


@pytest.mark.parametrize("name", ["two\nlines", "a\x00b", "a\u2028b", "a\x1b[31mred"])
async def test_a_display_name_is_one_line(accounts: Accounts, name: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await accounts.register(ACME, Registration("alice@example.com", GOOD_PASSWORD, name), None)
    assert [violation.field for violation in refused.value.violations] == ["display_name"]


@pytest.mark.parametrize("password", ["alice.example.com!", "acmeacmeacmeacme", "tenantmesh-alice"])
async def test_a_password_of_address_tenant_or_product_is_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await accounts.register(ACME, Registration("alice@example.com", password, ""), None)
    assert [violation.field for violation in refused.value.violations] == ["password"]


async def test_a_printed_registration_shows_nothing() -> None:
    assert GOOD_PASSWORD not in repr(Registration("alice@example.com", GOOD_PASSWORD, ""))


async def test_somebody_knows_who_they_are_in_their_own_tenant_only(accounts: Accounts, users: MemoryUsers) -> None:
    await accounts.register(ACME, Registration("alice@example.com", GOOD_PASSWORD, ""), None)
    (account,) = users.accounts.values()
    assert await accounts.me(ACME.id, account.user.id) == account.user
    for tenant_id, user_id in ((UMBRELLA.id, account.user.id), (ACME.id, UserId(uuid.uuid4()))):
        with pytest.raises(Unauthenticated) as refused:
            await accounts.me(tenant_id, user_id)
        assert refused.value.reason == "CREDENTIALS_INVALID"


async def test_a_megabyte_of_combining_marks_is_refused_at_once(accounts: Accounts) -> None:
    """Normalising it would take minutes; the test's own time limit is what fails then."""
    marks = "\u0301" * 250_000 + "\u0316" * 250_000
    for field, sent in (
        ("email", Registration(marks, GOOD_PASSWORD, "Alice")),
        ("password", Registration("alice@example.com", marks, "Alice")),
        ("display_name", Registration("alice@example.com", GOOD_PASSWORD, marks)),
    ):
        with pytest.raises(InvalidArgument) as refused:
            await accounts.register(ACME, sent, None)
        assert [violation.field for violation in refused.value.violations] == [field]
