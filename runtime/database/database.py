"""One service's database: how a connection is opened, and the two doors through which statements go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
from prometheus_client.metrics_core import Metric
from pydantic import SecretStr

from tenantmesh.runtime.database.errors import (
    DatabaseError,
    InternalDatabaseError,
    LoginRefused,
    begin_failed,
    translated,
)
from tenantmesh.runtime.database.lifetimes import lifetime
from tenantmesh.runtime.database.listener import Listener
from tenantmesh.runtime.database.pool import Pool, PoolShares, RawConnection
from tenantmesh.runtime.database.pool_metrics import pool_metrics
from tenantmesh.runtime.database.poolers import PooledSessions, refuse_pooler, startup_refused
from tenantmesh.runtime.database.several_tenants import SeveralTenants, tenant_literal
from tenantmesh.runtime.database.traced import TracedTransaction, TransactionTracer
from tenantmesh.runtime.database.transaction import Door, Record, Transaction
from tenantmesh.runtime.settings import DatabaseSettings

__all__ = ["Database", "connect"]

_NO_ADDRESS = (
    "the address can't be read. Write postgresql://role:password@host:5432/database; in the password percent-encode"
    " everything but letters and digits"
)
_NO_PORT = "its address has a port that does not exist: ports are 1 to 65535"
_HIGHEST_PORT = 65_535
_CHECK_SECONDS = 1.0
_BEGIN = {False: "RESET ALL; BEGIN READ WRITE; ", True: "RESET ALL; BEGIN READ ONLY; "}


async def connect(
    url: SecretStr, *, timeout: float = 5.0, command_timeout: float | None = None, search_path: str | None = None
) -> RawConnection:
    """Open one connection; times are in seconds. A `host` in the URL's query (a socket folder) wins over the host part.

    Its time zone is UTC, whatever role, database and server say: they are the operator's, and in another zone the last
    hours of the year 9999 are of the year 10000, which is no time to Python.

    Raises LoginRefused for an address that can't be read, and asyncpg's and the socket's errors; see
    `errors.translated`.
    """
    try:
        return await _connect(url, timeout, command_timeout, search_path)
    except ValueError as error:  # its text may hold a part of the password
        raise LoginRefused(_NO_ADDRESS) from error


async def _connect(
    url: SecretStr, timeout: float, command_timeout: float | None, search_path: str | None
) -> RawConnection:
    place = urlsplit(url.get_secret_value())
    _check_ports(place.netloc)
    query = parse_qs(place.query)
    # As settings of the connection's start both survive RESET ALL.
    settings = {"timezone": "UTC"} | ({"search_path": search_path} if search_path else {})
    return await asyncpg.connect(
        url.get_secret_value(),
        host=query["host"][-1] if "host" in query else None,
        timeout=timeout,
        command_timeout=command_timeout,
        server_settings=settings,
    )


def _check_ports(netloc: str) -> None:
    """Raise LoginRefused for a port of one of the hosts that does not exist. The socket's words name no setting."""
    for host in netloc.rpartition("@")[2].split(","):
        port = host.rpartition(":")[2]
        if port.isdecimal() and not 1 <= int(port) <= _HIGHEST_PORT:
            raise LoginRefused(_NO_PORT)


class Database:
    """The database as one service sees it: the schema it owns, a tenant door and a system door.

    The tenant door uses the service's app role, under row-level security. The system door uses its directory role,
    which may only what the migrations granted to it. Connections are opened on demand; `open` proves that one can be.
    """

    def __init__(self, settings: DatabaseSettings, *, schema: str, tracer: TransactionTracer | None = None) -> None:
        self.schema = schema
        self._tracer = tracer
        self._settings = settings
        self._tenant_door = self._door(self._connect_tenant, settings.pool_size)
        self._system_door = self._door(self._connect_system, settings.system_pool_size)
        self._probe: RawConnection | None = None
        self._probe_ends = 0.0
        self._probing = asyncio.Lock()

    @property
    def has_system_door(self) -> bool:
        """Whether a URL for the system door is configured."""
        return self._settings.system_url is not None

    def metrics(self) -> list[Metric]:
        """Return how busy the connections of each door are."""
        return pool_metrics({"tenant": self._tenant_door.pool, "system": self._system_door.pool})

    async def open(self) -> None:
        """Prove that the database answers, and that its sessions are ours.

        Raises DatabaseUnavailable, LoginRefused, and PooledSessions for a pooler that shares sessions.
        """
        await self.check()
        await refuse_pooler(self._connect_tenant, "TENANTMESH_DATABASE_URL")
        if self.has_system_door:
            await refuse_pooler(self._connect_system, "TENANTMESH_DATABASE_SYSTEM_URL")

    async def close(self) -> None:
        """Close both doors and wait until their connections are gone."""
        await self._tenant_door.pool.close()
        await self._system_door.pool.close()
        self._drop_probe()

    def tenant_transaction(self, tenant_id: UUID, *, read_only: bool = False) -> Transaction:
        """Return a transaction that sees and writes rows of this tenant only. The nil UUID is refused."""
        begin = f"{_BEGIN[read_only]}SET LOCAL app.tenant_id = '{tenant_literal(tenant_id)}'"
        if self._tracer is None:
            return Transaction(self._tenant_door, begin, tenant_id.int)
        return TracedTransaction(self._tenant_door, begin, tenant_id.int, self._tracer, "tenant transaction")

    def tenants_transaction(self, reason: str) -> SeveralTenants:
        """Return a transaction that sees and writes rows of several tenants, one after the other. `reason` says at the
        call why all shall count or none."""
        if not reason.strip():
            raise InternalDatabaseError("a transaction over several tenants states its reason")
        begin = f"{_BEGIN[False]}SET LOCAL app.tenant_id = ''"
        if self._tracer is None:
            return SeveralTenants(Transaction(self._tenant_door, begin, reason))
        traced = TracedTransaction(self._tenant_door, begin, reason, self._tracer, "tenants transaction")
        return SeveralTenants(traced)

    async def tenant_read(self, tenant_id: UUID, function: str) -> list[Record]:
        """Return what a function of the schema gives for this tenant, in one message instead of a transaction's three.

        The function takes the tenant's UUID, sets `app.tenant_id` for its own transaction before it reads, and changes
        nothing. Raises a DatabaseError. The nil UUID is refused.
        """
        tenant_literal(tenant_id)  # refuses what is none
        if not function.isidentifier():
            raise InternalDatabaseError("the function is named without its schema")
        sql = f"SELECT * FROM {self.schema}.{function}($1)"
        if self._tracer is None:
            return await self._tenant_door.read(sql, tenant_id, holder=tenant_id.int)
        with self._tracer.around(function):
            return await self._tenant_door.read(sql, tenant_id, holder=tenant_id.int)

    def system_transaction(
        self, reason: str, *, on_behalf_of: UUID | None = None, read_only: bool = False
    ) -> Transaction:
        """Return a transaction of the directory role, with no tenant. `reason` says at the call why none is needed.

        Connections are shared fairly by reason, or by the tenant on whose behalf it is.
        """
        if not reason.strip():
            raise InternalDatabaseError("a system transaction states its reason")
        begin = f"{_BEGIN[read_only]}SET LOCAL app.tenant_id = ''"
        holder = reason if on_behalf_of is None else on_behalf_of.int
        if self._tracer is None:
            return Transaction(self._system_door, begin, holder)
        return TracedTransaction(self._system_door, begin, holder, self._tracer, "system transaction")

    def listen(self, channel: str, callback: Callable[[str], None]) -> Listener:
        """Return a context manager that calls back with each payload, and with "" after every (re)connection."""
        if not self.has_system_door:
            raise InternalDatabaseError("TENANTMESH_DATABASE_SYSTEM_URL is not set")
        return Listener(self._connect_system, channel, callback, self._settings.max_connection_age)

    async def check(self) -> None:
        """Return when the database answers. Raises DatabaseError when it does not within a second.

        Uses a connection of its own, as old as those of a pool may be: a pool that is busy is no database that is down.
        A standby does not count as an
        answer: it takes no writes.
        """
        async with self._probing:
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._ask_probe()
            except Exception as error:
                self._drop_probe()
                raise begin_failed(error) from error
            except BaseException:
                self._drop_probe()
                raise

    def _door(self, connect: Callable[[], Awaitable[RawConnection]], size: int) -> Door:
        settings = self._settings
        shares = PoolShares(settings.tenant_share, settings.max_waiting, settings.tenant_max_waiting)
        timeout, age = settings.acquire_timeout, settings.max_connection_age
        return Door(Pool(connect, size=size, timeout=timeout, shares=shares, age=age))

    async def _ask_probe(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._probe is None or self._probe.is_closed() or now >= self._probe_ends:
            self._drop_probe()
            self._probe = await self._connect_tenant()
            self._probe_ends = now + lifetime(self._settings.max_connection_age)
        await self._probe.execute("BEGIN READ WRITE; ROLLBACK")  # as a call that writes begins

    def _drop_probe(self) -> None:
        if self._probe is not None:
            self._probe.terminate()
            self._probe = None

    async def _connect_tenant(self) -> RawConnection:
        return await self._connect(self._settings.url, "TENANTMESH_DATABASE_URL")

    async def _connect_system(self) -> RawConnection:
        return await self._connect(self._settings.system_url, "TENANTMESH_DATABASE_SYSTEM_URL")

    async def _connect(self, url: SecretStr | None, name: str) -> RawConnection:
        if url is None:
            raise InternalDatabaseError(f"{name} is not set")
        try:
            return await connect(
                url,
                timeout=self._settings.connect_timeout.total_seconds(),
                command_timeout=self._settings.command_timeout.total_seconds(),
                search_path=f"{self.schema}, pg_catalog",
            )
        except Exception as error:
            raise _naming(name, startup_refused(error) or translated(error)) from error


def _naming(variable: str, error: DatabaseError) -> DatabaseError:
    """Return the error with the variable in which a person can correct it."""
    return type(error)(f"{variable}: {error}") if isinstance(error, LoginRefused | PooledSessions) else error
