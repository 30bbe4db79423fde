"""The rules of a new system key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantmesh.auth_svc.api_keys.permissions import CATALOGUE
from tenantmesh.auth_svc.api_keys.system_key import KeyAudience, check_new_key, usage_of_new
from tenantmesh.interceptors.caller import ALL_USAGE, NO_USAGE, UsageScope
from tenantmesh.interceptors.errors import InvalidArgument


def broken(name: str = "ops", permissions: Sequence[str] = ("*",), lifetime: timedelta | None = None) -> list[str]:
    """The fields that break a rule."""
    try:
        check_new_key(name, permissions, lifetime)
    except InvalidArgument as refused:
        return [violation.field for violation in refused.violations]
    return []


@pytest.mark.parametrize("name", ["ops", "tenant_svc", "a1", "x" * 63])
@pytest.mark.parametrize("permissions", [[], ["*"], ["tokens.introspect"], ["a.b.c", "a_b.c_d"]])
def test_a_good_key_is_accepted(name: str, permissions: list[str]) -> None:
    assert broken(name, permissions) == []
    assert broken(name, permissions, timedelta(microseconds=1)) == []


@pytest.mark.parametrize("name", ["", "x", "Ops", "a b", "1st", "x" * 64, "a\n"])
def test_a_bad_name_is_refused(name: str) -> None:
    assert broken(name=name) == ["name"]


@pytest.mark.parametrize("permission", ["", "tenants", "Tenants.read", "tenants.*", "**", "a.b\n"])
def test_a_bad_permission_is_refused(permission: str) -> None:
    assert broken(permissions=[permission]) == ["permissions"]


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(days=-1), timedelta(days=36_501), timedelta.max])
def test_a_lifetime_ends_at_a_time_that_can_be_stored(lifetime: timedelta) -> None:
    assert broken(lifetime=lifetime) == ["lifetime"]
    assert broken(lifetime=timedelta(days=36_500)) == []


def test_everything_wrong_is_listed_at_once() -> None:
    assert broken("X", ["nope"], timedelta()) == ["name", "permissions", "lifetime"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("tenants.raed", "tenants.read"), ("tenant.read", "tenants.read"), ("token.introspect", "tokens.introspect")],
)
def test_a_misspelt_permission_is_refused_with_the_nearest_name(written: str, meant: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_new_key("ops", ["tenants.list", written], None)
    assert [each.description for each in refused.value.violations] == [
        f"{written} does not exist; did you mean {meant}?"
    ]


@pytest.mark.parametrize("permission", ["invoices.read", "notes.write", *sorted(CATALOGUE)])
def test_permissions_of_ours_and_of_other_services_are_taken(permission: str) -> None:
    assert broken(permissions=[permission]) == []


@pytest.mark.parametrize(
    ("permission", "field"),
    [("quota.lease", "meters"), ("quota.allocate", "meters"), ("quota.gauges", "gauges")],
)
def test_a_key_that_counts_names_what_it_counts(permission: str, field: str) -> None:
    def wrong(usage: UsageScope) -> list[tuple[str, str]]:
        with pytest.raises(InvalidArgument) as refused:
            check_new_key("ops", [permission], None, usage)
        return [(each.field, each.description) for each in refused.value.violations]

    kind = field.removesuffix("s")
    assert wrong(NO_USAGE) == [
        (field, f"must be named with {permission}: each (--{kind}), or all (--{kind} '*')"),
    ]
    assert wrong(replace(ALL_USAGE, **{field: frozenset({"Api Requests", "x"})}))[0][0] == field
    check_new_key("ops", [permission], None, replace(NO_USAGE, **{field: frozenset({"api_requests"})}))
    check_new_key("ops", ["tenants.read"], None, NO_USAGE)


def test_a_service_counts_what_it_names_and_an_operator_everything_unless_told() -> None:
    assert usage_of_new(KeyAudience.SERVICE, None, None) == NO_USAGE
    assert usage_of_new(KeyAudience.OPERATOR, None, None) == ALL_USAGE
    named = usage_of_new(KeyAudience.OPERATOR, ["reads"], None)
    assert named == UsageScope(frozenset({"reads"}), frozenset({"*"}))
    assert (named.has_meter("reads"), named.has_meter("writes"), named.has_gauge("seats")) == (True, False, True)
