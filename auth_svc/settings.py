"""The settings of auth_svc: those of any process, the mesh around it, and the tokens it issues."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tenantmesh.chassis.settings import ServiceSettings, TokenSettings
from tenantmesh.runtime.settings import Duration, Group, ServerSettings

__all__ = ["AuthSettings", "SessionSettings", "SigningSettings"]


class SigningSettings(TokenSettings):
    """The tokens that auth_svc issues, and the keys that sign them."""

    kek_file: Path
    sign_for: Duration = timedelta(days=30)
    publish_before: Duration = timedelta(minutes=10)


class SessionSettings(Group):
    """How long people stay signed in."""

    idle: Duration = timedelta(days=7)
    absolute: Duration = timedelta(days=30)
    grace: Duration = timedelta(seconds=10)


class AuthSettings(ServiceSettings):
    """Everything auth_svc reads from the environment; see `runtime.settings` for the names."""

    server: ServerSettings = ServerSettings(listen="127.0.0.1:50052")
    tokens: SigningSettings
    sessions: SessionSettings = SessionSettings()
