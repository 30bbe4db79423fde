"""The settings of auth_svc: those of any process, the mesh around it, and the tokens it issues."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from tenantmesh.interceptors.limits import parse_rates
from tenantmesh.interceptors.links.authentication import parse_identities
from tenantmesh.runtime.settings import Duration, Group, Networks, ProcessSettings, ServerSettings

__all__ = ["AuthSettings", "MeshSettings", "SessionSettings", "TokenSettings"]


_ISSUER = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?")


def _checked_issuer(text: str) -> str:
    if not _ISSUER.fullmatch(text):
        raise ValueError("write an address such as https://auth.example.com, without a slash at its end")
    return text


def _checked_rates(text: str) -> str:
    parse_rates(text)
    return text


def _checked_identities(text: str) -> str:
    parse_identities(text)
    return text


class MeshSettings(Group):
    """The mesh as this service sees it. `credential` is its own key (`tmk_…`), by which tenant_svc knows it."""

    tenant_target: str = "127.0.0.1:50051"
    auth_target: str = "127.0.0.1:50052"
    credential: SecretStr
    base_domain: str = ""
    trusted_proxies: Networks = ()
    rates: Annotated[str, AfterValidator(_checked_rates)] = ""
    tls_ca: Path | None = None
    identities: Annotated[str, AfterValidator(_checked_identities)] = ""


class TokenSettings(Group):
    """Access tokens. `issuer` is the address at which the edge publishes the key set, without a slash at its end."""

    issuer: Annotated[str, AfterValidator(_checked_issuer)] = "http://127.0.0.1:8080"
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
