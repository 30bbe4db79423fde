"""Makes the client that the settings ask for: of one server, or of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import urlsplit

from tenantmesh.runtime.redis_client.cluster import GuardedCluster, NodeAddress
from tenantmesh.runtime.redis_client.single import GuardedRedis, StoreStats
from tenantmesh.runtime.settings import RedisSettings

__all__ = ["StoreClient", "connect"]

StoreClient: TypeAlias = GuardedRedis | GuardedCluster

_PORT = 6379


def connect(settings: RedisSettings) -> StoreClient:
    """Return a client; connections are made on first use. Close it with `aclose()`.

    Raises ValueError when no URL is set.
    """
    if settings.url is None:
        raise ValueError("TENANTMESH_REDIS_URL is not set")
    url = settings.url.get_secret_value()
    if not settings.cluster:
        return GuardedRedis.at(url, settings)
    (seeds, url_of), stats = _nodes(url), StoreStats()
    return GuardedCluster(seeds, lambda address: GuardedRedis.at(url_of(address), settings, stats), stats)


def _nodes(url: str) -> tuple[list[NodeAddress], Callable[[NodeAddress], str]]:
    """Return the hosts of a cluster's URL, with commas between, and a function that makes the URL of one node."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")

    def url_of(address: NodeAddress) -> str:
        host, port = address
        named = f"[{host}]" if ":" in host else host
        return parts._replace(netloc=f"{user}{at}{named}:{port}").geturl()

    return [_address(host) for host in hosts.split(",")], url_of


def _address(text: str) -> NodeAddress:
    """Parse `host`, `host:port`, `[::1]` or `[::1]:port`. Raises ValueError."""
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("TENANTMESH_REDIS_URL of a cluster is redis://user:password@host:port, or several host:port,…")
    return parts.hostname, parts.port or _PORT
