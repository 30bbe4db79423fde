from __future__ import annotations

import uuid
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest

from tenantmesh.runtime.database import (
    PURGE_FENCE,
    ConstraintViolation,
    DatabaseError,
    DatabaseUnavailable,
    ForeignKeyViolation,
    InternalDatabaseError,
    LoginRefused,
    StandbyReached,
    TenantPurged,
    TransactionConflict,
    UniqueViolation,
)
from tenantmesh.runtime.database.doors import DatabaseDoors
from tenantmesh.runtime.database.errors import ShareInUse, begin_failed, translated

_NEVER = (AssertionError, AssertionError)
"""Errors that no test here meets."""


def from_server(state: str, **fields: str) -> asyncpg.PostgresError:
    error = asyncpg.PostgresError.new({"C": state, "M": "secret row (acme)", **fields})
    assert isinstance(error, asyncpg.PostgresError)
    return error


@pytest.mark.parametrize(
    ("state", "meaning"),
    [
        ("23505", UniqueViolation),
        ("23503", ForeignKeyViolation),
        ("23514", ConstraintViolation),
        ("40000", TransactionConflict),
        ("40001", TransactionConflict),
        ("40P01", TransactionConflict),
        ("53300", DatabaseUnavailable),
        ("57014", DatabaseUnavailable),
        ("57P01", DatabaseUnavailable),
        ("08006", DatabaseUnavailable),
        ("55P03", DatabaseUnavailable),
        ("53400", DatabaseUnavailable),
        ("57P03", DatabaseUnavailable),
        ("57P05", DatabaseUnavailable),
        ("08P01", DatabaseUnavailable),
        ("25P03", DatabaseUnavailable),
        ("25P04", DatabaseUnavailable),
        ("28P01", LoginRefused),
        ("28000", LoginRefused),
        ("3D000", LoginRefused),
        ("42601", InternalDatabaseError),
        ("0A000", InternalDatabaseError),
        ("25006", InternalDatabaseError),
    ],
)
def test_a_state_means_what_a_use_case_can_do_about_it(state: str, meaning: type[DatabaseError]) -> None:
    assert type(translated(from_server(state))) is meaning


@pytest.mark.parametrize("state", ["42704", "22P02", "42501"])
def test_a_missing_tenant_is_a_defect_and_says_so(state: str) -> None:
    error = translated(from_server(state))
    assert type(error) is InternalDatabaseError
    assert "tenant context" in str(error)


async def test_a_row_of_a_purged_tenant_is_refused_as_that() -> None:
    refused = asyncpg.InsufficientPrivilegeError(f'new row violates row-level security policy "{PURGE_FENCE}" for "t"')
    error = translated(refused)
    assert type(error) is TenantPurged
    gone = cast("Any", Failing(error, "commit"))
    doors = DatabaseDoors(gone, *_NEVER, lambda: LookupError("gone"))
    with pytest.raises(LookupError, match="gone"):
        async with doors.tenant(uuid.uuid4()):
            pass


def test_a_violation_names_its_constraint_and_no_row() -> None:
    error = translated(from_server("23505", n="users_email_key", D="Key (email)=(a@b.example) exists"))
    assert isinstance(error, UniqueViolation)
    assert error.constraint == "users_email_key"
    assert "a@b.example" not in str(error)


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), asyncpg.InterfaceError("it is closed")])
def test_losing_contact_is_unavailable(error: Exception) -> None:
    assert isinstance(translated(error), DatabaseUnavailable)


def test_our_own_errors_stay_as_they_are() -> None:
    error = DatabaseUnavailable("x")
    assert translated(error) is error


@pytest.mark.parametrize("state", ["0A000", "25006"])
def test_a_transaction_that_may_not_write_has_met_a_standby(state: str) -> None:
    assert type(begin_failed(from_server(state))) is StandbyReached
    assert isinstance(begin_failed(from_server("57P03")), DatabaseUnavailable)


@pytest.mark.parametrize("state", ["28P01", "57P01", "3D000"])
def test_the_servers_words_about_the_connection_are_kept_for_the_log(state: str) -> None:
    assert "secret row (acme)" in str(translated(from_server(state)))


@pytest.mark.parametrize("state", ["40001", "42601", "42501", "23505"])
def test_the_servers_words_about_a_statement_are_not(state: str) -> None:
    assert "secret row (acme)" not in str(translated(from_server(state)))


class Failing:
    """A database in which every transaction meets the error: when it begins, inside, or when it ends."""

    def __init__(self, error: DatabaseError, moment: str) -> None:
        self._error = error
        self._moment = moment

    def tenant_transaction(self, *_: Any, **__: Any) -> AbstractAsyncContextManager[None]:
        return self._transaction()

    system_transaction = tenant_transaction

    @asynccontextmanager
    async def _transaction(self) -> Any:
        if self._moment == "begin":
            raise self._error
        yield
        if self._moment == "commit":
            raise self._error

    async def tenant_read(self, *_: Any) -> None:
        raise self._error


@pytest.mark.parametrize("state", ["40001", "40P01", "55P03", "57P01", "53300", "08006"])
@pytest.mark.parametrize("moment", ["begin", "inside", "commit"])
async def test_what_passes_is_the_services_own_outage_wherever_it_happens(state: str, moment: str) -> None:
    error = translated(from_server(state))
    doors = DatabaseDoors(cast("Any", Failing(error, moment)), lambda: LookupError("the outage"), *_NEVER)

    async def use(door: AbstractAsyncContextManager[Any]) -> None:
        async with door:
            if moment == "inside":
                raise error

    for door in (doors.tenant(uuid.uuid4()), doors.system("a test")):
        with pytest.raises(LookupError) as caught:
            await use(door)
        assert caught.value.__cause__ is error
    with pytest.raises(LookupError):
        await doors.read(uuid.uuid4(), "get_tenant")


async def test_a_share_that_is_in_use_is_no_outage() -> None:
    failing: Any = Failing(ShareInUse("five in use"), "begin")
    doors = DatabaseDoors(failing, _NEVER[0], lambda: LookupError("busy"), *_NEVER[1:])
    for door in (doors.tenant(uuid.uuid4()), doors.system("a test")):
        with pytest.raises(LookupError, match="busy"):
            await door.__aenter__()
    with pytest.raises(LookupError, match="busy"):
        await doors.read(uuid.uuid4(), "get_tenant")
