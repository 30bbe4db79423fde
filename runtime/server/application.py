"""The parts of a service that a server process starts and stops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc

from tenantmesh.runtime.health import Health

__all__ = ["Application", "ServicerRegistration"]

ServicerRegistration: TypeAlias = tuple[Callable[[Any, Any], None], object]
"""A generated `add_…_to_server` function, and the servicer to give it."""


async def _nothing() -> None:
    return


def _no_watches() -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The parts of a service, made but not started.

    `end_watches` ends endless streams once the process stops, before gRPC would cut them.

    `start` opens what serving needs (databases, watches) and raises when the process must not serve; `close` ends it in
    reverse order, also after a start that failed half-way. `names` are the full service names that reflection lists,
    and `mesh_names` those that it lists to callers behind the edge, which is one address for several processes.
    """

    services: Sequence[ServicerRegistration]
    health: Health
    interceptors: Sequence[grpc.aio.ServerInterceptor] = ()
    names: Sequence[str] = ()
    mesh_names: Sequence[str] = ()
    start: Callable[[], Awaitable[None]] = field(default=_nothing)
    close: Callable[[], Awaitable[None]] = field(default=_nothing)
    end_watches: Callable[[], None] = field(default=_no_watches)
