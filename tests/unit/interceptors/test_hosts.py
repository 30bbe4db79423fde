"""The name of a tenant in the host of a call."""

from __future__ import annotations

import pytest

from tenantmesh.interceptors.hosts import HostName, host_name

SUFFIX = ".mesh.test"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("acme.mesh.test", HostName("acme", login_host=False)),
        ("ACME.Mesh.Test:8443", HostName("acme", login_host=False)),
        ("acme.mesh.test.", HostName("acme", login_host=False)),
        ("acme.mesh.test.:80", HostName("acme", login_host=False)),
        ("a.b.mesh.test", HostName("a.b", login_host=False)),
        ("acme.mesh.test:x", HostName("", login_host=False)),
        (".mesh.test", HostName("", login_host=False)),
        ("api.mesh.test", None),
        ("mesh.test", None),
        ("app.acme.com", HostName("app.acme.com", login_host=True)),
        ("App.ACME.com.:443", HostName("app.acme.com", login_host=True)),
        ("xn--bcher-kva.de", HostName("xn--bcher-kva.de", login_host=True)),
        ("evilmesh.test", HostName("evilmesh.test", login_host=True)),
        ("app.acme.com:x", None),
        ("app.acme.com:80:80", None),
        ("127.0.0.1", None),
        ("127.0.0.1:8080", None),
        ("[::1]:8080", None),
        ("localhost:8080", None),
        ("acme", None),
        ("", None),
        (".", None),
        ("acme.c_m", None),
        ("app acme.com", None),
        ("a." * 130 + "com", None),
    ],
)
def test_a_host_names_a_tenant_by_its_form(host: str, name: HostName | None) -> None:
    assert host_name(host, SUFFIX) == name


def test_without_a_base_domain_every_name_is_a_login_host() -> None:
    assert host_name("acme.mesh.test", "") == HostName("acme.mesh.test", login_host=True)
