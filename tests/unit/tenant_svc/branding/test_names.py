"""The tenant that a call before sign-in asks for, by what it names."""

from __future__ import annotations

import uuid

import pytest

from tenantmesh.interceptors.errors import InvalidArgument
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.branding.names import HostNames, asked_for

HOSTS = HostNames("mesh.example")
ACME = TenantId(uuid.uuid4())


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("acme.mesh.example", "acme"),
        ("ACME.Mesh.Example.:443", "acme"),
        ("login.acme.example", "login.acme.example"),
        ("Login.ACME.example:8443", "login.acme.example"),
        ("www.mesh.example", None),
        ("mesh.example", None),
        ("a.b.mesh.example", None),
        ("x.mesh.example", None),
        ("localhost", None),
        ("", None),
        ("acme.mesh.example:x", None),
        ("acme.mesh.example:", None),
        ("acme_mesh.example", None),
        ("\u0430cme.mesh.example", None),
        ("acme\u202e.mesh.example", None),
        ("acme.mesh.example, globex.mesh.example", None),
        ("[::1]:80", None),
        ("127.0.0.1", None),
        ("a." * 5_000 + "example", None),
    ],
)
def test_a_host_names_a_tenant_or_none(host: str, key: str | None) -> None:
    assert HOSTS.key(host) == key


def test_without_a_base_domain_every_host_is_a_hosts_own() -> None:
    assert HostNames("").key("acme.mesh.example") == "acme.mesh.example"


def ask(*, slug: str = "", host: str = "", query: str = "", own: str = "") -> object:
    return asked_for(HOSTS, slug=slug, host=host, tenant_query=query, own_host=own)


def test_what_the_request_names_comes_before_how_it_came() -> None:
    assert ask(slug="globex", own="acme.mesh.example", query="initech") == "globex"
    assert ask(host="globex.mesh.example", own="acme.mesh.example") == "globex"
    assert ask(query="globex", own="acme.mesh.example") == "globex"
    assert ask(own="acme.mesh.example") == "acme"
    assert ask(query=str(ACME)) == ACME
    assert ask() is None


@pytest.mark.parametrize("name", ["NOT A SLUG", "acme,globex", "\x00", "\u0430cme", "x" * 10_000, "acme\u202e"])
def test_a_name_that_can_be_none_asks_for_none(name: str) -> None:
    assert ask(slug=name) is None
    assert ask(query=name, own="acme.mesh.example") is None


def test_two_names_in_one_request_are_refused_whatever_they_name() -> None:
    for slug, host in (("acme", "acme.mesh.example"), ("missing", "nowhere.example")):
        with pytest.raises(InvalidArgument) as caught:
            ask(slug=slug, host=host)
        assert [violation.field for violation in caught.value.violations] == ["host"]
