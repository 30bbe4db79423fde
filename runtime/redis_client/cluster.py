"""A Redis Cluster, asked node by node: one that is down costs its own slots and nothing else.

redis-py's own cluster client makes every caller wait when one node fails (docs/decisions/0029). So here is one guarded
client for each node, and the map of slots before them.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Literal, TypeAlias

from redis.asyncio.client import PubSub
from redis.commands.core import AsyncCoreCommands
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisError

from tenantmesh.runtime.redis_client.single import GuardedRedis, RedisUnavailable, Script, StoreStats

__all__ = ["GuardedCluster", "NodeAddress"]

NodeAddress: TypeAlias = tuple[str, int]
"""Host and port of a node."""

SLOTS = 16_384
_REDIRECTS = 5
_PAUSE_SECONDS = 0.5
_SCRIPTS = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})


class GuardedCluster(AsyncCoreCommands):
    """A cluster as one client: each command goes to the node that owns its key, and waits for no other.

    A command names keys of one slot, which is what the braces in a key are for. Its first argument is taken for the
    key; where that is wrong, the server says so and is believed. A command without a key goes to any node. There are no
    pipelines: send commands concurrently instead. Raises RedisUnavailable for nodes that are down, at once after a few
    failures, and for slots that no node owns.
    """

    _is_async_client: Literal[True] = True
    _event_dispatcher: Any = None  # declared by redis-py's commands, and used by none of them

    def __init__(
        self, seeds: Iterable[NodeAddress], connect: Callable[[NodeAddress], GuardedRedis], stats: StoreStats
    ) -> None:
        self.stats = stats
        """The commands that no node answered in time."""
        self._connect = connect
        self._seeds = tuple(seeds)
        self._clients: dict[NodeAddress, GuardedRedis] = {}
        self._owners: list[NodeAddress | None] = []
        self._learning: asyncio.Task[None] | None = None
        self._learn_after = 0.0
        self._failure: Exception | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command to the node that owns its key and return the answer."""
        if not self._owners:
            await self._learnt()
        address = self._owner(args)
        for _ in range(_REDIRECTS):
            try:
                return await self._client(address).execute_command(*args, **options)
            except MovedError as moved:  # a kind of AskError
                address = self._owners[moved.slot_id] = (moved.host or address[0], moved.port)
                self._learn_soon()
            except AskError as elsewhere:
                return await self._ask((elsewhere.host or address[0], elsewhere.port), args, options)
            except RedisUnavailable:
                self._learn_soon()
                raise
        raise RedisUnavailable("the cluster's nodes send the command in circles")

    async def node_of(self, key: str) -> GuardedRedis:
        """Return the client of the node that has the key's slot. Raises RedisUnavailable when no node has it."""
        if not self._owners:
            await self._learnt()
        return self._client(self._owner(("EXISTS", key)))

    def register_script(self, script: Any) -> Any:
        """Return the Script, to be called with keys of one slot."""
        return Script(self, script)

    def pubsub(self, **options: Any) -> PubSub:
        """Return a subscription at some node: what is published anywhere in a cluster arrives everywhere."""
        return self._client(self._any()).pubsub(**options)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._learning is not None:
            self._learning.cancel()
            with suppress(asyncio.CancelledError):
                await self._learning
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))

    def _owner(self, args: tuple[Any, ...]) -> NodeAddress:
        key = _key(args)
        if key is None:
            return self._any()
        owner = self._owners[key_slot(key)]
        if owner is None:
            self._learn_soon()
            raise RedisUnavailable("no node owns the key's slot")
        return owner

    def _any(self) -> NodeAddress:
        known = self._known()
        return next((node for node in known if not self._client(node).breaker.is_open), known[0])

    def _known(self) -> list[NodeAddress]:
        return list(dict.fromkeys((*self._seeds, *self._clients)))

    def _client(self, address: NodeAddress) -> GuardedRedis:
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = self._connect(address)
        return client

    async def _ask(self, address: NodeAddress, args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        """Send a command to the node to which its key moves, which takes it only after ASKING on that connection."""
        async with self._client(address).pipeline(transaction=False) as pipeline:
            pipeline.execute_command("ASKING")
            pipeline.execute_command(*args, **options)
            return (await pipeline.execute())[-1]

    async def _learnt(self) -> None:
        """Wait until the slots' owners are known. Raises RedisUnavailable when no node names them."""
        await asyncio.shield(self._learn_now())
        if not self._owners:
            raise RedisUnavailable("no node said which slots are whose") from self._failure

    def _learn_soon(self) -> None:
        """Learn the slots' owners in the background, now and then: while a node is down each call comes here."""
        if time.monotonic() >= self._learn_after:
            self._learn_now()

    def _learn_now(self) -> asyncio.Task[None]:
        if self._learning is None or self._learning.done():
            # In a context of its own: it serves everybody, and must not end with one caller's deadline.
            self._learning = asyncio.create_task(self._learn(), context=contextvars.Context())
        return self._learning

    async def _learn(self) -> None:
        """Ask every node at once and believe the first that answers; a node that hangs delays nobody."""
        self._learn_after = time.monotonic() + _PAUSE_SECONDS
        asked = [asyncio.ensure_future(self._ranges(node)) for node in self._known()]
        try:
            for answer in asyncio.as_completed(asked):
                if ranges := await answer:
                    await self._believe(ranges)
                    return
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _ranges(self, address: NodeAddress) -> list[tuple[int, int, NodeAddress]]:
        """Return the ranges of slots with their owners, as one node sees them. Empty when the node does not answer."""
        try:
            answer = await self._client(address).execute_command("CLUSTER SLOTS")
        except RedisError as error:
            self._failure = error
            return []
        return [(first, last, (_text(owner[0]) or address[0], int(owner[1]))) for first, last, owner, *_ in answer]

    async def _believe(self, ranges: list[tuple[int, int, NodeAddress]]) -> None:
        owners: list[NodeAddress | None] = [None] * SLOTS
        for first, last, address in ranges:
            owners[first : last + 1] = [address] * (last + 1 - first)
        self._owners = owners
        gone = self._clients.keys() - set(owners) - set(self._seeds)
        await asyncio.gather(*(self._clients.pop(node).aclose() for node in gone))


def _key(args: tuple[Any, ...]) -> bytes | None:
    """Return the key that decides where a command goes, or None for a command without one."""
    if str(args[0]).upper() in _SCRIPTS:
        args = args[2:4] if int(args[2]) else ()
    return _bytes(args[1]) if len(args) > 1 else None


def _bytes(key: Any) -> bytes:
    return key if isinstance(key, bytes) else str(key).encode()


def _text(host: Any) -> str:
    return host.decode() if isinstance(host, bytes) else host or ""
