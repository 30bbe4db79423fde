"""The settings of auth_svc: those of any process, the mesh around it, and the tokens it issues."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from runtime.settings import Duration, Group, ProcessSettings, ServerSettings

__all__ = ["AuthSettings", "MeshSettings", "SessionSettings", "TokenSettings"]


class MeshSettings(Group):
    """The mesh as this service sees it. `credential` is its own key (`tmk_…`), by which tenant_svc knows it."""

    tenant_target: str = "127.0.0.1:50051"
    auth_target: str = "127.0.0.1:50052"
    credential: SecretStr
    base_domain: str = ""
    trusted_proxies: tuple[str, ...] = ()


class TokenSettings(Group):
    """Access tokens. `issuer` is the address at which the edge publishes the key set, without a slash at its end."""

    issuer: str = Field(default="http://127.0.0.1:8080", pattern=r"^https?://[^/?#]+(/[^?#]*[^/?#])?$")
    audience: str = Field(default="tenantmesh", min_length=1)
    kek_file: Path
    sign_for: Duration = timedelta(days=30)
    publish_before: Duration = timedelta(minutes=10)


class SessionSettings(Group):
    """How long people stay signed in."""

    idle: Duration = timedelta(days=7)
    absolute: Duration = timedelta(days=30)
    grace: Duration = timedelta(seconds=10)


class AuthSettings(ProcessSettings):
    """Everything auth_svc reads from the environment; see `runtime.settings` for the names."""

    server: ServerSettings = ServerSettings(listen="127.0.0.1:50052")
    mesh: MeshSettings
    tokens: TokenSettings
    sessions: SessionSettings = SessionSettings()
