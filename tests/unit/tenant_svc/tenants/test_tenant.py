"""The rules of a tenant's fields."""

from __future__ import annotations

import dataclasses
import json
import uuid
from datetime import UTC, datetime

import pytest

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.caller import Caller, CallerKind
from tenantmesh.interceptors.errors import InvalidArgument
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.tenant_svc.tenants.mapping import tenant_message
from tenantmesh.tenant_svc.tenants.profile import Contact, ContactType, Profile
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Suspension, Tenant, checked_reason
from tenantmesh.tenant_svc.viewers import Viewer
from tests.unit.chassis.event_log.stored import tenant


def fields_of(error: InvalidArgument) -> list[str]:
    assert error.reason == "INVALID_FIELD"
    return [violation.field for violation in error.violations]


def test_the_default_name_is_the_slug_and_the_plan_is_chosen_when_it_is_stored() -> None:
    assert NewTenant.checked(slug="acme", display_name="", plan_id="") == NewTenant("acme", "acme", "")


def test_the_digest_of_no_plan_is_that_of_earlier_versions() -> None:
    assert NewTenant("acme", "Acme", "").digest == NewTenant("acme", "Acme", "basic").digest


@pytest.mark.parametrize("name", ["A", "x" * 200, "Ünïcode & Söhne", "日本", "👩‍👩‍👧", "می‌خواهم", "a  b"])
def test_what_people_read_may_be_nearly_anything(name: str) -> None:
    assert NewTenant.checked(slug="acme", display_name=name, plan_id="").display_name == name


@pytest.mark.parametrize("name", [" ", "\t", "x" * 201, "a\nb", "a\x00b", "a\x1bb", "a\u2028b", "\u3000"])
def test_what_people_can_not_read_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        NewTenant.checked(slug="acme", display_name=name, plan_id="")
    assert fields_of(caught.value) == ["display_name"]


def test_every_broken_rule_is_named_at_once() -> None:
    with pytest.raises(InvalidArgument) as caught:
        NewTenant.checked(slug="X", display_name="\x00", plan_id="not a plan")
    assert fields_of(caught.value) == ["slug", "display_name", "plan_id"]


FIELDS = ("acme", "Acme", "basic")
PROFILES = (
    Profile(labels={"team": "emea"}),
    Profile(region="eu"),
    Profile(external_id="eu"),
    Profile(time_zone="Europe/Berlin"),
    Profile(locale="de-CH"),
    Profile(currency="EUR"),
    Profile(contacts=(Contact(ContactType.BILLING, "Ann", "ann@acme.example"),)),
    Profile(parent_id=TenantId(uuid.UUID(int=7))),
    Profile(delete_protection=True),
)


def test_every_field_of_the_profile_has_an_example() -> None:
    differing = {
        name for each in PROFILES for name, value in each.to_json().items() if value != Profile().to_json()[name]
    }
    assert differing == {field.name for field in dataclasses.fields(Profile)}


@pytest.mark.parametrize(
    "profile", PROFILES, ids=lambda each: next(name for name, value in each.to_json().items() if value)
)
def test_a_profile_survives_being_stored(profile: Profile) -> None:
    assert Profile.from_json(json.loads(json.dumps(profile.to_json()))) == profile


def test_the_digest_is_of_every_field_and_where_each_ends() -> None:
    base = NewTenant("acme", "Acme", "basic")
    others = [
        NewTenant("other", "Acme", "basic"),
        NewTenant("acme", "other", "basic"),
        NewTenant("acme", "Acme", "other"),
    ]
    others += [dataclasses.replace(base, profile=profile) for profile in PROFILES]
    others.append(NewTenant("acmeA", "cme", "basic"))
    assert len({base.digest, *(other.digest for other in others)}) == 1 + len(others)
    assert base.digest == NewTenant("acme", "Acme", "basic").digest


def test_a_request_id_is_a_uuid_or_absent() -> None:
    some, caller = uuid.uuid4(), Caller(CallerKind.OPERATOR, "ops", credential_id="its key")
    assert RequestKey.checked(caller, "") is None
    assert RequestKey.checked(caller, str(some)) == RequestKey("ops", some, "its key")
    assert RequestKey.checked(caller, str(some).upper()) == RequestKey("ops", some, "its key")
    for bad in ("x", "1", str(uuid.UUID(int=0)), some.hex, f"{{{some}}}"):
        with pytest.raises(InvalidArgument) as caught:
            RequestKey.checked(caller, bad)
        assert fields_of(caught.value) == ["request_id"]


def test_a_suspension_has_a_reason() -> None:
    assert checked_reason("unpaid since March") == "unpaid since March"
    for bad in ("", "  ", "x" * 501, "a\x00b"):
        with pytest.raises(InvalidArgument) as caught:
            checked_reason(bad)
        assert fields_of(caught.value) == ["reason"]


def test_an_etag_is_of_one_version_of_one_tenant() -> None:
    etags = {tenant(number, version=version).etag for number in (1, 2) for version in (1, 2)}
    assert len(etags) == 4
    assert tenant(1).etag == tenant(1).etag


@pytest.mark.parametrize("notes", [True, False])
def test_staff_reads_why_a_tenant_is_suspended_and_users_do_not(notes: bool) -> None:
    now = datetime(2026, 5, 17, tzinfo=UTC)
    suspension = Suspension("unpaid since March", "key", now)
    suspended = Tenant(
        TenantId(uuid.uuid4()), "acme", "Acme", "basic", 1, TenantState.SUSPENDED, now, now, 2, suspension
    )
    message = tenant_message(suspended, Viewer(notes, every_plan=notes))
    assert message.HasField("suspension") is notes
    assert ("unpaid" in str(message)) is notes
    assert Tenant.from_json(suspended.id, suspended.to_json()).suspension is None, (
        "a result of an operation has no notes"
    )
