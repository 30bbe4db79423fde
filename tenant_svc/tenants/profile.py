"""The profile of a tenant: what operators, and in part its own people, say of it. Fields, rules, and JSON forms."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from functools import lru_cache
from importlib.resources import files
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.numbers import get_territory_currencies as currencies_of

from tenantmesh.chassis.emails import email_problem
from tenantmesh.chassis.requests import name_problem
from tenantmesh.interceptors.tenants import TenantId, parse_tenant_id

__all__ = [
    "Contact",
    "ContactType",
    "Profile",
    "profile_problems",
    "region_problem",
]

MOST_LABELS = 64
MOST_CONTACTS = 20
_LONGEST_NAME = 200
_LONGEST_EXTERNAL_ID = 200
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}", re.ASCII)
_VISIBLE = re.compile(rf"[!-~]{{1,{_LONGEST_EXTERNAL_ID}}}", re.ASCII)
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", re.ASCII)


class ContactType(Enum):
    """The subject that a person is asked about."""

    GENERAL = "GENERAL"
    BILLING = "BILLING"
    TECHNICAL = "TECHNICAL"
    SECURITY = "SECURITY"
    LEGAL = "LEGAL"


@dataclass(frozen=True, slots=True)
class Contact:
    """A person to reach about a tenant."""

    type: ContactType
    display_name: str
    email: str
    phone: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the contact as it is stored."""
        return {**asdict(self), "type": self.type.value}

    @classmethod
    def from_json(cls, stored: Mapping[str, str]) -> Contact:
        """Return the contact that `to_json` wrote."""
        return cls(ContactType(stored["type"]), stored["display_name"], stored["email"], stored["phone"])


@dataclass(frozen=True, slots=True)
class Profile:
    """The profile. The texts are empty where nothing was said."""

    labels: Mapping[str, str] = field(default_factory=dict)
    region: str = ""
    external_id: str = ""
    time_zone: str = ""
    locale: str = ""
    currency: str = ""
    contacts: tuple[Contact, ...] = ()
    parent_id: TenantId | None = None
    delete_protection: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the profile as JSON can hold it."""
        return {
            "labels": dict(self.labels),
            "region": self.region,
            "external_id": self.external_id,
            "time_zone": self.time_zone,
            "locale": self.locale,
            "currency": self.currency,
            "contacts": [contact.to_json() for contact in self.contacts],
            "parent_id": "" if self.parent_id is None else str(self.parent_id),
            "delete_protection": self.delete_protection,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Profile:
        """Return the profile that `to_json` wrote."""
        contacts = tuple(map(Contact.from_json, stored["contacts"]))
        return cls(**{**stored, "contacts": contacts, "parent_id": parse_tenant_id(stored["parent_id"])})


def profile_problems(profile: Profile) -> dict[str, str | None]:
    """Return the broken rule of each field, or None, as far as no database and no setting is needed."""
    return {
        "labels": _labels_problem(profile.labels),
        "external_id": _external_id_problem(profile.external_id),
        "time_zone": _time_zone_problem(profile.time_zone),
        "locale": _locale_problem(profile.locale),
        "currency": _currency_problem(profile.currency),
        **_contacts_problems(profile.contacts),
    }


def region_problem(region: str, regions: Collection[str]) -> str | None:
    """Return the rule that a region breaks, or None. It must be one of those that the installation has."""
    if not region or region in regions:
        return None
    if not regions:
        return "must be empty: this installation has no regions (TENANTMESH_TENANTS_REGIONS)"
    return f"must be one of {', '.join(sorted(regions))}"


def _labels_problem(labels: Mapping[str, str]) -> str | None:
    if len(labels) > MOST_LABELS:
        return f"must be at most {MOST_LABELS}"
    for key, value in labels.items():
        if _LABEL_KEY.fullmatch(key) is None:
            return "must have keys of 1 to 63 of a-z, 0-9, underscores and hyphens, starting with a letter"
        if _LABEL_VALUE.fullmatch(value) is None:
            return f"must have values of up to 63 of a-z, 0-9, underscores and hyphens; that of {key} is not one"
    return None


def _external_id_problem(text: str) -> str | None:
    if not text or _VISIBLE.fullmatch(text):
        return None
    return f"must be 1 to {_LONGEST_EXTERNAL_ID} visible characters of ASCII, without spaces"


def _time_zone_problem(text: str) -> str | None:
    if not text or text in _time_zones():
        return None
    return "must be a name of the IANA time zone database, such as Europe/Berlin"


@lru_cache(maxsize=1)
def _time_zones() -> frozenset[str]:
    # Not those of the machine: they may be older, and have `localtime`, which is another zone on each machine.
    return frozenset(files("tzdata").joinpath("zones").read_text("ascii").split()) - {"Factory"}


def _locale_problem(text: str) -> str | None:
    if not text or (_LOCALE.fullmatch(text) is not None and _is_locale(text)):
        return None
    return "must be a BCP 47 language tag that CLDR knows, such as en or de-CH"


@lru_cache(maxsize=1024)
def _is_locale(text: str) -> bool:
    try:
        Locale.parse(text, sep="-")
    except (UnknownLocaleError, ValueError):
        return False
    return True


def _currency_problem(text: str) -> str | None:
    if not text or text in _currencies():
        return None
    return "must be the ISO 4217 code, in capitals, of a currency in use, such as EUR"


@lru_cache(maxsize=1)
def _currencies() -> frozenset[str]:
    # CLDR knows those of the past too, such as DEM, in which nobody can be billed.
    return frozenset(code for territory in get_global("territory_currencies") for code in currencies_of(territory))


def _contacts_problems(contacts: tuple[Contact, ...]) -> dict[str, str | None]:
    if len(contacts) > MOST_CONTACTS:
        return {"contacts": f"must be at most {MOST_CONTACTS}"}
    problems: dict[str, str | None] = {}
    for place, contact in enumerate(contacts):
        problems[f"contacts[{place}].display_name"] = name_problem(contact.display_name, _LONGEST_NAME)
        problems[f"contacts[{place}].email"] = email_problem(contact.email)
        wrong = contact.phone and _PHONE.fullmatch(contact.phone) is None
        problems[f"contacts[{place}].phone"] = "must be a number of E.164, such as +41446681800" if wrong else None
    return problems
