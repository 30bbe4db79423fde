"""Both services read the same environment alike: an operator writes it once."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from tenantmesh.auth_svc.settings import AuthSettings
from tenantmesh.deploy.stack.programs.service import ServiceProgram
from tenantmesh.deploy.stack.programs.table import PROGRAMS
from tenantmesh.runtime.settings import wrong_settings
from tenantmesh.tenant_svc.settings import TenantSettings

SERVICES: tuple[type[Any], ...] = (TenantSettings, AuthSettings)


def test_every_service_is_examined() -> None:
    modules = {program.module for program in PROGRAMS if isinstance(program, ServiceProgram)}
    assert {service.__module__ for service in SERVICES} == {f"{module}.settings" for module in modules}


@pytest.fixture
def environment(service: type[Any], monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("TENANTMESH_MESH_CREDENTIAL", "tmk_0000000000000000")
    if service is AuthSettings:  # the key that encrypts keys is auth_svc's alone; tenant_svc refuses to be given it
        monkeypatch.setenv("TENANTMESH_TOKENS_KEK_FILE", "kek")
    return monkeypatch


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("written", ["10.0.0.0/8, 127.0.0.0/8", '["10.0.0.0/8", "127.0.0.0/8"]'])
def test_networks_are_written_with_commas_or_as_json(
    service: type[Any], written: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TENANTMESH_MESH_TRUSTED_PROXIES", written)
    assert service().mesh.trusted_proxies == ("10.0.0.0/8", "127.0.0.0/8")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("TENANTMESH_MESH_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TENANTMESH_MESH_RATES", "public=fast"),
        ("TENANTMESH_MESH_IDENTITIES", "billing"),
    ],
)
def test_what_is_wrong_is_named_by_its_variable(
    service: type[Any], name: str, wrong: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(name, wrong)
    with pytest.raises((ValidationError, SettingsError)) as caught:
        service()
    assert isinstance(caught.value, ValidationError | SettingsError)
    assert name in wrong_settings(caught.value, service)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("mode", "reflected"), [("development", True), ("production", False)])
def test_reflection_follows_the_mode(
    service: type[Any], mode: str, reflected: bool, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TENANTMESH_MODE", mode)
    assert service().server.reflection is reflected
