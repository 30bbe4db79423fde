from __future__ import annotations

import asyncpg
import pytest

from tenantmesh.runtime.database import (
    ConstraintViolation,
    DatabaseError,
    DatabaseUnavailable,
    ForeignKeyViolation,
    InternalDatabaseError,
    TransactionConflict,
    UniqueViolation,
)
from tenantmesh.runtime.database.errors import translated


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
        ("40001", TransactionConflict),
        ("40P01", TransactionConflict),
        ("53300", DatabaseUnavailable),
        ("57014", DatabaseUnavailable),
        ("57P01", DatabaseUnavailable),
        ("08006", DatabaseUnavailable),
        ("55P03", DatabaseUnavailable),
        ("42601", InternalDatabaseError),
    ],
)
def test_a_state_means_what_a_use_case_can_do_about_it(state: str, meaning: type[DatabaseError]) -> None:
    assert type(translated(from_server(state))) is meaning


@pytest.mark.parametrize("state", ["42704", "22P02", "42501"])
def test_a_missing_tenant_is_a_defect_and_says_so(state: str) -> None:
    error = translated(from_server(state))
    assert type(error) is InternalDatabaseError
    assert "tenant context" in str(error)


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
