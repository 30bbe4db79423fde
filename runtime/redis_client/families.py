"""Families of keys: all keys that begin alike and lie in one slot, counted and deleted.

Redis has no index of keys. The server's whole keyspace is walked, a piece at a time, so that no command takes long.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from tenantmesh.runtime.redis_client.client import StoreClient
from tenantmesh.runtime.redis_client.cluster import GuardedCluster
from tenantmesh.runtime.redis_client.single import GuardedRedis

__all__ = ["count_family", "delete_family"]

_PIECE = 1_000


async def count_family(client: StoreClient, prefix: str) -> int:
    """Return the number of keys that begin with the prefix. Raises RedisUnavailable.

    In a cluster the prefix contains a hash tag in braces, so that all of them lie on one node.
    """
    node = await _node(client, prefix)
    found: set[bytes] = set()
    async for keys in _pieces(node, prefix):
        found.update(keys)  # a walk may show a key twice
    return len(found)


async def delete_family(client: StoreClient, prefix: str) -> int:
    """Delete the keys that begin with the prefix, and return how many there were. As `count_family` besides."""
    node = await _node(client, prefix)
    deleted = 0
    async for keys in _pieces(node, prefix):
        deleted += int(await node.execute_command("UNLINK", *keys))
    return deleted


async def _node(client: StoreClient, prefix: str) -> GuardedRedis:
    return await client.node_of(prefix) if isinstance(client, GuardedCluster) else client


async def _pieces(node: GuardedRedis, prefix: str) -> AsyncIterator[list[bytes]]:
    """Yield the keys with the prefix, some at a time; never an empty list."""
    cursor: bytes | int = 0
    while True:
        cursor, keys = await node.execute_command("SCAN", cursor, "MATCH", f"{_escaped(prefix)}*", "COUNT", _PIECE)
        if keys:
            yield list(keys)
        if int(cursor) == 0:
            return


def _escaped(prefix: str) -> str:
    """Return the pattern that matches the text itself."""
    return "".join(f"\\{character}" if character in "*?[]\\^" else character for character in prefix)
