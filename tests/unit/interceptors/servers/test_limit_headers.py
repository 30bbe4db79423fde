"""The `ratelimit` headers are structured fields (RFC 9651) for every limit that can be set."""

from __future__ import annotations

import re

import pytest

from tenantmesh.interceptors.limits import Limited
from tenantmesh.interceptors.link import Moments, compile_chain
from tenantmesh.interceptors.policy import MethodPolicy
from tenantmesh.interceptors.servers.limit_headers import LARGEST_INTEGER, limit_headers
from tests.unit.interceptors.calls import call

POLICY = MethodPolicy("/x.Y/Z", frozenset())

STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
PARAMETER = re.compile(r";([a-z*][a-z0-9_.*-]*)=(-?[0-9]{1,15})(?![0-9.])")


def parsed(field: str) -> list[tuple[str, dict[str, int]]]:
    """A list of strings with integer parameters, as RFC 9651 4.2 parses it. Fails for anything else."""
    members, rest = [], field
    while True:
        name = STRING.match(rest)
        assert name, f"no string at {rest!r}"
        rest, parameters = rest[name.end() :], dict[str, int]()
        while parameter := PARAMETER.match(rest):
            parameters[parameter[1]] = int(parameter[2])
            rest = rest[parameter.end() :]
        members.append((re.sub(r"\\(.)", r"\1", name[1]), parameters))
        if not rest:
            return members
        comma = re.match(r"[ \t]*,[ \t]*(?=.)", rest)
        assert comma, f"no comma at {rest!r}"
        rest = rest[comma.end() :]


def headers(*limits: Limited) -> dict[str, str]:
    class Limits:
        def bind(self, policy: MethodPolicy) -> Moments:
            return Moments(limits=lambda _call: limits)

    return dict(limit_headers(compile_chain([Limits()], POLICY), call(policy=POLICY)))


@pytest.mark.parametrize("amount", [0, 1, LARGEST_INTEGER, LARGEST_INTEGER + 1, 2**53 - 1, 2**60])
def test_a_limit_of_any_size_is_an_integer_of_a_structured_field(amount: int) -> None:
    made = headers(Limited("api", amount, amount, float(amount), amount), Limited("notes", amount, amount, 1.0))
    written = min(amount, LARGEST_INTEGER)
    assert parsed(made["ratelimit"]) == [("api", {"r": written, "t": written}), ("notes", {"r": written, "t": 1})]
    assert parsed(made["ratelimit-policy"]) == [("api", {"q": written, "w": written}), ("notes", {"q": written})]
    assert {made[f"ratelimit-{name}"] for name in ("limit", "remaining", "reset")} == {str(written)}


@pytest.mark.parametrize("amount", [-1, -(2**60)])
def test_nothing_is_below_zero(amount: int) -> None:
    assert parsed(headers(Limited("api", 5, amount, -3.0))["ratelimit"]) == [("api", {"r": 0, "t": 0})]


@pytest.mark.parametrize(("name", "written"), [('a "b"', 'a "b"'), ("a\\b", "a\\b"), ("caf\u00e9\n", "caf??")])
def test_a_name_is_a_string_of_a_structured_field(name: str, written: str) -> None:
    assert parsed(headers(Limited(name, 5, 4, 1.0))["ratelimit"])[0][0] == written


@pytest.mark.parametrize(("seconds", "written"), [(0.0, 0), (0.2, 1), (30.0, 30), (30.0000001, 30), (30.4, 31)])
def test_a_reset_is_in_whole_seconds_rounded_up(seconds: float, written: int) -> None:
    assert headers(Limited("api", 5, 4, seconds))["ratelimit-reset"] == str(written)
