from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from tenantmesh.runtime.settings import DatabaseSettings, ProcessSettings, ServerSettings, moved_address, split_address


def test_names_in_the_environment_are_group_and_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTMESH_DATABASE_SYSTEM_URL", "postgresql://directory:pw@/tm")
    monkeypatch.setenv("TENANTMESH_SERVER_MAX_CONCURRENT_STREAMS", "7")
    monkeypatch.setenv("TENANTMESH_MODE", "development")
    settings = ProcessSettings()
    assert settings.database.system_url is not None
    assert settings.database.system_url.get_secret_value() == "postgresql://directory:pw@/tm"
    assert settings.server.max_concurrent_streams == 7
    assert settings.mode == "development"


def test_a_misspelt_field_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTMESH_DATABASE_SYSTM_URL", "postgresql://directory:hunter2@/tm")
    with pytest.raises(ValidationError, match="systm_url") as refused:
        ProcessSettings()
    assert "hunter2" not in str(refused.value)


def test_secrets_do_not_print() -> None:
    assert "hunter2" not in repr(DatabaseSettings.model_validate({"url": "postgresql://app:hunter2@/tm"}))


def test_settings_are_frozen() -> None:
    settings = DatabaseSettings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.pool_size = 3


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("5s", timedelta(seconds=5)),
        ("2m", timedelta(minutes=2)),
        ("1h", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
        ("1.5", timedelta(seconds=1.5)),
        ("PT5S", timedelta(seconds=5)),
    ],
)
def test_durations_are_written_with_a_unit(written: str, meant: timedelta) -> None:
    assert ServerSettings.model_validate({"grace": written}).grace == meant


@pytest.mark.parametrize("address", ["localhost", ":50051", "host:port", "host:70000"])
def test_an_address_is_host_and_port(address: str) -> None:
    with pytest.raises(ValueError, match=r"write host:port|not an address"):
        split_address(address)


def test_an_address_moves_by_ports() -> None:
    assert moved_address("127.0.0.1:50051", 100) == "127.0.0.1:50151"
    assert moved_address("[::1]:50051", 1) == "[::1]:50052"


@pytest.mark.parametrize(
    ("health", "workers", "fits"),
    [(50061, 1, True), (50051, 1, False), (50061, 4, True), (50151, 1, True), (50151, 2, False), (50351, 4, False)],
)
def test_a_health_port_is_no_port_of_calls(health: int, workers: int, fits: bool) -> None:
    given = {"listen": "127.0.0.1:50051", "health_listen": f"127.0.0.1:{health}", "workers": workers}
    if fits:
        assert ServerSettings.model_validate(given).workers == workers
        return
    with pytest.raises(ValidationError, match="no multiple of worker_port_step"):
        ServerSettings.model_validate(given)


def test_half_a_tls_configuration_is_refused() -> None:
    with pytest.raises(ValidationError, match="both tls_cert and tls_key"):
        ServerSettings.model_validate({"tls_cert": "cert.pem"})
    with pytest.raises(ValidationError, match="needs tls_cert"):
        ServerSettings.model_validate({"tls_client_ca": "ca.pem"})
