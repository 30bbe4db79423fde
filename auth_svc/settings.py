"""The settings of auth_svc: those of any process, of the mesh, and of the tokens that it issues."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from tenantmesh.chassis.settings import ServiceSettings, TokenSettings
from tenantmesh.interceptors.limits import parse_rate
from tenantmesh.runtime.settings import Count, Duration, Group, ServerSettings

__all__ = ["AuthSettings", "ErasureSettings", "SigningSettings"]


def _checked_rate(text: str) -> str:
    parse_rate(text)
    return text


class SigningSettings(TokenSettings):
    """The access tokens that auth_svc issues, and the keys that sign them."""

    kek_file: Path
    client_id: Annotated[str, Field(max_length=200, pattern=r"^[\x20-\x7e]*$")] = "tenantmesh"
    sign_for: Duration = timedelta(days=30)
    publish_before: Duration = timedelta(minutes=10)


class SessionSettings(Group):
    """The lifetimes of sessions; see `sessions.session.SessionLifetimes`."""

    idle: Duration = timedelta(days=7)
    absolute: Duration = timedelta(days=30)
    grace: Duration = timedelta(seconds=10)


class HashingSettings(Group):
    """How many callers may wait for their turn to hash a password."""

    places: Count = 256
    tenant_places: Count = 16


class LoginSettings(Group):
    """How often signing in with a password may fail; see `sessions.failures`. Rates are calls per second/burst."""

    failures: Annotated[str, AfterValidator(_checked_rate)] = "1/100"
    address_failures: Annotated[str, AfterValidator(_checked_rate)] = "0.1/10"


class ErasureSettings(Group):
    """The role that destroys a purged tenant's rows. Without it this process refuses to purge."""

    database_url: SecretStr | None = None


class AuthSettings(ServiceSettings):
    """All settings of auth_svc, read from the environment. `runtime.settings` explains the names of the variables."""

    server: ServerSettings = ServerSettings(listen="127.0.0.1:50052")
    tokens: SigningSettings
    sessions: SessionSettings = SessionSettings()
    hashing: HashingSettings = HashingSettings()
    logins: LoginSettings = LoginSettings()
    purge: ErasureSettings = ErasureSettings()
