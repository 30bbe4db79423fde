"""A registration as it was sent, and the rules that it must keep."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.auth_svc.passwords.passwords import LENGTH, PasswordRules, normalise
from tenantmesh.chassis.emails import EmailAddress, EmailRefused, parse_email
from tenantmesh.chassis.requests import name_problem, refuse, required
from tenantmesh.interceptors.tenants import TenantRecord

__all__ = ["CheckedRegistration", "Registration", "checked"]

PRODUCT = "tenantmesh"
MAX_DISPLAY_NAME = 200
MAX_WRITTEN = 1024
"""The most characters of a sent value that are looked at. Normalised forms have limits of their own."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The fields of a registration, unchecked."""

    email: str
    password: str
    display_name: str

    def __repr__(self) -> str:
        return "Registration(…)"


@dataclass(frozen=True, slots=True)
class CheckedRegistration:
    """The fields of a registration that keeps all rules. The password is normalised."""

    email: EmailAddress
    password: str
    display_name: str

    def __repr__(self) -> str:
        return "CheckedRegistration(…)"


def checked(sent: Registration, tenant: TenantRecord, rules: PasswordRules) -> CheckedRegistration:
    """Check every field. Raises InvalidArgument, which lists all fields that break a rule."""
    email: EmailAddress | None = None
    problems: dict[str, str | None] = {}
    try:
        email = parse_email(sent.email)
    except EmailRefused as refused:
        problems["email"] = str(refused)
    password, problems["password"] = _checked_password(sent, tenant, rules)
    problems["display_name"] = _display_name_refusal(sent.display_name)
    refuse(problems)
    address = required(email)
    return CheckedRegistration(address, password, sent.display_name.strip() or address.local_part)


def _checked_password(sent: Registration, tenant: TenantRecord, rules: PasswordRules) -> tuple[str, str | None]:
    """Return the normalised password and the rule that it breaks, or None."""
    # Checked before anything else: the time of normalising grows with the square of a run of combining marks, so
    # a megabyte of them would block the process for minutes.
    if len(sent.password) > MAX_WRITTEN:
        return "", f"must have at most {LENGTH.stop - 1} characters"
    password = normalise(sent.password)
    known_by = (sent.email[:MAX_WRITTEN], sent.display_name[:MAX_DISPLAY_NAME], tenant.slug, PRODUCT)
    return password, rules.refusal(password, known_by)


def _display_name_refusal(name: str) -> str | None:
    return name_problem(name, MAX_DISPLAY_NAME) if name else None
