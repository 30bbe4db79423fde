"""Settings that services share: the other services, the tokens to accept, and the event logs."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from tenantmesh.interceptors.concurrency import parse_concurrency
from tenantmesh.interceptors.credentials import API_KEY_PREFIX, parse_identities
from tenantmesh.interceptors.leases.reserves import RESERVE_SECONDS, RESERVE_SHARE
from tenantmesh.interceptors.limits import parse_rates
from tenantmesh.runtime.settings import Duration, Group, Networks, ProcessSettings, Ratio

__all__ = ["EventSettings", "MeshSettings", "ServiceSettings", "TokenSettings"]

_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*", re.ASCII)
_ISSUER = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?")


def _checked_issuer(text: str) -> str:
    if not _ISSUER.fullmatch(text):
        raise ValueError("write an address such as https://auth.example.com, without a slash at its end")
    return text


def _checked_domain(text: str) -> str:
    """Return the one spelling, in which hosts of calls and names of tenants are compared with it."""
    domain = text.lower().strip(".")
    if domain and not _DOMAIN.fullmatch(domain):
        raise ValueError("write a domain in its ASCII form such as mesh.example.com, without a port and wildcards")
    return domain


def _checked_key(key: SecretStr) -> SecretStr:
    if not key.get_secret_value().startswith(API_KEY_PREFIX):
        raise ValueError(f"write the key that `tenantmesh operator create` printed ({API_KEY_PREFIX}…)")
    return key


def _checked_rates(text: str) -> str:
    parse_rates(text)
    return text


def _checked_concurrency(text: str) -> str:
    parse_concurrency(text)
    return text


def _checked_identities(text: str) -> str:
    parse_identities(text)
    return text


class MeshSettings(Group):
    """The other services of the mesh. `credential` is the service's own API key (`tmk_…`), with which it calls them."""

    tenant_target: str = "127.0.0.1:50051"
    auth_target: str = "127.0.0.1:50052"
    credential: Annotated[SecretStr, AfterValidator(_checked_key)]
    base_domain: Annotated[str, AfterValidator(_checked_domain)] = ""
    trusted_proxies: Networks = ()
    rates: Annotated[str, AfterValidator(_checked_rates)] = ""
    concurrency: Annotated[str, AfterValidator(_checked_concurrency)] = ""
    reserve_share: Ratio = RESERVE_SHARE
    reserve_time: Duration = timedelta(seconds=RESERVE_SECONDS)
    tls_ca: Path | None = None
    identities: Annotated[str, AfterValidator(_checked_identities)] = ""


class TokenSettings(Group):
    """The claims that access tokens must have. `issuer` is the address at which the edge publishes the key set, without
    a slash at its end."""

    issuer: Annotated[str, AfterValidator(_checked_issuer)] = "http://127.0.0.1:8080"
    audience: str = Field(default="tenantmesh", min_length=1)


class EventSettings(Group):
    """How an event log is followed and kept.

    window: newest events in memory, which is how far a stream's reader may lag.
    retention: age at which events are deleted. A cursor before that gets CURSOR_EXPIRED. None keeps every event.
    """

    poll_interval: Duration = timedelta(seconds=2)
    checkpoint_interval: Duration = timedelta(seconds=2)
    lost_after: Duration = timedelta(seconds=5)
    window: int = Field(default=10_000, ge=1)
    retention: Duration | None = None
    prune_interval: Duration = timedelta(minutes=1)


class ServiceSettings(ProcessSettings):
    """The settings that every service reads from the environment; see `runtime.settings` for the names."""

    mesh: MeshSettings
    tokens: TokenSettings = TokenSettings()
