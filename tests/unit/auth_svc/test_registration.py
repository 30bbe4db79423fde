"""The rules of a registration."""

from __future__ import annotations

import uuid

import pytest

from tenantmesh.auth_svc.accounts.registration import CheckedRegistration, Registration, checked
from tenantmesh.auth_svc.passwords.passwords import PasswordRules
from tenantmesh.interceptors.errors import InvalidArgument
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, TenantState
from tests.passwords import GOOD_PASSWORD

RULES = PasswordRules.load()
ACME = TenantRecord(TenantId(uuid.uuid4()), "acme", TenantState.ACTIVE, "basic")


def accepted(email: str, password: str = GOOD_PASSWORD, display_name: str = "") -> CheckedRegistration:
    return checked(Registration(email, password, display_name), ACME, RULES)


def broken_fields(email: str, password: str = GOOD_PASSWORD, display_name: str = "") -> list[str]:
    with pytest.raises(InvalidArgument) as refused:
        accepted(email, password, display_name)
    assert password not in refused.value.message
    return [violation.field for violation in refused.value.violations]


def test_a_person_without_a_name_is_named_by_the_address() -> None:
    found = accepted("Alice@Example.com")
    assert (found.email.written, found.email.normalised) == ("Alice@Example.com", "alice@example.com")
    assert found.display_name == "Alice"
    assert accepted("Alice@Example.com", display_name=" Al ").display_name == "Al"


def test_every_broken_field_is_listed_at_once() -> None:
    assert broken_fields("nonsense", "short secret", "x" * 201) == ["email", "password", "display_name"]


@pytest.mark.parametrize(
    "name",
    ["two\nlines", "a\x00b", "a\u2028b", "a\x1b[31mred", "\u200b", "\u3164\u2800", "  ", "a\u202eb", "P\u0430yPal"],
)
def test_a_display_name_is_one_line_that_shows_something(name: str) -> None:
    assert broken_fields("alice@example.com", display_name=name) == ["display_name"]


@pytest.mark.parametrize("password", ["alice.example.com!", "acmeacmeacmeacme", "tenantmesh-alice"])
def test_a_password_of_address_tenant_or_product_is_refused(password: str) -> None:
    assert broken_fields("alice@example.com", password) == ["password"]


def test_a_printed_registration_shows_nothing() -> None:
    assert GOOD_PASSWORD not in repr(Registration("alice@example.com", GOOD_PASSWORD, ""))
    assert GOOD_PASSWORD not in repr(accepted("alice@example.com"))


def test_a_megabyte_of_combining_marks_is_refused_at_once() -> None:
    """Normalising it would take minutes; the test's own time limit is what fails then."""
    marks = "\u0301" * 250_000 + "\u0316" * 250_000
    assert broken_fields(marks, display_name="Alice") == ["email"]
    assert broken_fields("alice@example.com", marks, "Alice") == ["password"]
    assert broken_fields("alice@example.com", display_name=marks) == ["display_name"]
