"""A Redis or Valkey client that fails fast: short timeouts, no retries, a bounded pool, a circuit breaker.

Whoever uses it has a fallback; waiting would make the store's trouble everybody's. Not here: keys and scripts.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ClusterDownError, RedisClusterException, RedisError, SlotNotCoveredError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from runtime.breaker import Breaker
from runtime.settings import RedisSettings


class StoreUnavailable(RedisConnectionError):
    """The store did not answer in time, or is not asked because it just did not. A command sent may have run."""


_FAILURES = (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError, ClusterDownError, SlotNotCoveredError)


@contextmanager
def _guarded(breaker: Breaker) -> Iterator[None]:
    if not breaker.admits():
        raise StoreUnavailable("the store did not answer lately and is not asked for a moment")
    try:
        yield
    except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
        # A cluster of which no node can be reached is reported as a usage error, with the outage as its cause.
        if isinstance(error, _FAILURES) or isinstance(error.__cause__, _FAILURES):
            breaker.failed()
            raise StoreUnavailable(f"the store did not answer ({type(error).__name__})") from error
        breaker.succeeded()  # it answered; what it said is the caller's business
        raise
    except BaseException:
        breaker.abandoned()
        raise
    breaker.succeeded()


class GuardedRedis(Redis):
    """redis.asyncio.Redis whose commands, scripts and pipelines raise StoreUnavailable at once while the store is down.

    Pub/sub connections are not guarded: their owner reconnects at leisure.
    """

    breaker: Breaker

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and return its answer."""
        send: Callable[..., Awaitable[Any]] = super().execute_command
        with _guarded(self.breaker):
            return await send(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Return a pipeline that is guarded as a whole."""
        pipeline = _GuardedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.breaker = self.breaker
        return pipeline


class _GuardedPipeline(Pipeline):
    breaker: Breaker

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        with _guarded(self.breaker):
            return await super().execute(raise_on_error)


class GuardedCluster(RedisCluster):
    """redis.asyncio.RedisCluster, guarded like GuardedRedis. One breaker for the whole cluster.

    Its pipelines are not guarded, and refuse scripts anyway: send commands concurrently instead.
    """

    breaker: Breaker

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command to the node that owns its key and return the answer."""
        with _guarded(self.breaker):
            return await super().execute_command(*args, **options)


StoreClient: TypeAlias = GuardedRedis | GuardedCluster


def connect(settings: RedisSettings) -> StoreClient:
    """Return a client; connections are made on first use. Close it with `aclose()`.

    Raises ValueError when no URL is set.
    """
    if settings.url is None:
        raise ValueError("TENANTMESH_REDIS_URL is not set")
    client = _cluster(settings) if settings.cluster else _single(settings)
    client.breaker = Breaker(
        failures=settings.breaker_failures, window=settings.breaker_window, pause=settings.breaker_open
    )
    return client


def _options(settings: RedisSettings) -> dict[str, Any]:
    seconds = settings.timeout.total_seconds()
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 3,
        "max_connections": settings.pool_size,
    }


def _single(settings: RedisSettings) -> GuardedRedis:
    pool = BlockingConnectionPool.from_url(
        _url(settings), timeout=settings.timeout.total_seconds(), **_options(settings)
    )
    client = GuardedRedis(connection_pool=pool)
    client.auto_close_connection_pool = True  # aclose() closes the pool, too: it is nobody else's
    return client


def _cluster(settings: RedisSettings) -> GuardedCluster:
    client = GuardedCluster.from_url(_url(settings), require_full_coverage=False, **_options(settings))
    return cast("GuardedCluster", client)  # from_url makes the class it is called on, but is annotated as its parent


def _url(settings: RedisSettings) -> str:
    return settings.url.get_secret_value() if settings.url is not None else ""
