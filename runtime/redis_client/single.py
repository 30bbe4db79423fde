"""One Redis or Valkey server: short timeouts, no retries, a bounded pool, a circuit breaker, scripts by their hash."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import AuthenticationError, ClusterDownError, NoScriptError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tenantmesh.runtime.breaker import Breaker
from tenantmesh.runtime.settings import RedisSettings

__all__ = ["GuardedRedis", "RedisUnavailable", "Script", "StoreStats"]

_log = logging.getLogger(__name__)


class RedisUnavailable(RedisConnectionError):
    """The store did not answer in time, or its breaker is open. A command that was sent may have run."""


@dataclass(slots=True)
class StoreStats:
    """Commands that Redis did not answer."""

    failed: int = 0
    """Commands that were sent, or could not be, and were not answered in time."""
    not_asked: int = 0
    """Commands that the open circuit refused at once."""


_FAILURES = (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError, ClusterDownError)


@contextmanager
def _guarded(breaker: Breaker, stats: StoreStats) -> Iterator[None]:
    if not breaker.admits():
        stats.not_asked += 1
        raise RedisUnavailable("the store did not answer lately and is not asked for a moment")
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        if isinstance(error, _FAILURES):
            stats.failed += 1
            _note_failure(breaker, error)
            raise RedisUnavailable(f"the store did not answer ({type(error).__name__})") from error
        breaker.succeeded()  # it answered; what it said is the caller's business
        raise
    except BaseException:
        breaker.abandoned()
        raise
    breaker.succeeded()


def _note_failure(breaker: Breaker, error: Exception) -> None:
    """Count the failure, and log its cause when it makes the breaker open."""
    was_open = breaker.is_open
    breaker.failed()
    if breaker.is_open and not was_open:
        refused = any(isinstance(each, AuthenticationError) for each in (error, error.__cause__, error.__context__))
        hint = " Check user and password in TENANTMESH_REDIS_URL." if refused else ""
        _log.warning("the store is away: %s: %s%s", type(error).__name__, error, hint)


class Script(AsyncScript):
    """A script that each server learns when it first runs it there: one round trip, two on a server's first."""

    def __init__(self, client: Any, script: str) -> None:
        super().__init__(client, script.encode())
        self._client = client

    async def __call__(
        self, keys: Iterable[Any] | None = None, args: Iterable[Any] | None = None, client: Any = None
    ) -> Any:
        """Run it on the server that has the keys. `client` is another one to run it with."""
        run: Callable[..., Awaitable[Any]] = (client or self._client).execute_command
        named = tuple(keys or ())
        rest = (len(named), *named, *(args or ()))
        try:
            return await run("EVALSHA", self.sha, *rest)
        except NoScriptError:
            return await run("EVAL", self.script, *rest)


class GuardedRedis(Redis):
    """redis.asyncio.Redis whose commands, scripts and pipelines raise RedisUnavailable at once while the store is down.

    Pub/sub connections are not guarded: their owner reconnects at leisure.
    """

    breaker: Breaker
    stats: StoreStats

    @classmethod
    def at(cls, url: str, settings: RedisSettings, stats: StoreStats | None = None) -> GuardedRedis:
        """Return a client of the server at the URL. Connections are made on first use, and wait for a free one."""
        seconds = settings.timeout.total_seconds()
        pool = BlockingConnectionPool.from_url(
            url,
            timeout=seconds,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
            protocol=3,
            max_connections=settings.pool_size,
        )
        client = cls(connection_pool=pool)
        client.auto_close_connection_pool = True  # aclose() closes the pool, too: it is nobody else's
        client.stats = stats or StoreStats()
        client.breaker = Breaker(
            failures=settings.breaker_failures, window=settings.breaker_window, pause=settings.breaker_open
        )
        return client

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and return its answer."""
        send: Callable[..., Awaitable[Any]] = super().execute_command
        with _guarded(self.breaker, self.stats):
            return await send(*args, **options)

    def register_script(self, script: Any) -> Any:
        """Return the Script."""
        return Script(self, script)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Return a pipeline that is guarded as a whole."""
        pipeline = _GuardedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.breaker, pipeline.stats = self.breaker, self.stats
        return pipeline


class _GuardedPipeline(Pipeline):
    breaker: Breaker
    stats: StoreStats

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        with _guarded(self.breaker, self.stats):
            return await super().execute(raise_on_error)
