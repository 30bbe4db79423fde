"""A service of the mesh, put together from its connections, its capabilities and a chain in front of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from sqlalchemy import MetaData

from tenantmesh.chassis.capability import Capability
from tenantmesh.chassis.chain import make_chain, make_mesh
from tenantmesh.chassis.contract import CONTRACT
from tenantmesh.chassis.lifecycle import Lifecycle, Part
from tenantmesh.chassis.servicers import registrations
from tenantmesh.chassis.settings import ServiceSettings
from tenantmesh.interceptors import ChainPorts, trace_context
from tenantmesh.interceptors.tasks import cancel
from tenantmesh.runtime import redis_client, row_security
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.health import Check, Health
from tenantmesh.runtime.server import Application
from tenantmesh.runtime.telemetry import Telemetry

__all__ = ["AddToServer", "Connections", "assemble"]

AddToServer = Callable[[Any, Any], None]
"""A generated `add_…_to_server`."""


class Connections:
    """The connections of a service to its database, its store and the other services, made but not opened, and the
    telemetry that they report to."""

    def __init__(self, settings: ServiceSettings, schema: str, telemetry: Telemetry) -> None:
        self.telemetry = telemetry
        self.database = Database(settings.database, schema=schema, tracer=telemetry.transactions(trace_context))
        telemetry.collector(self.database.metrics)
        self.redis = redis_client.connect(settings.redis)
        telemetry.counters("tenantmesh_store", self.redis.stats)
        self.mesh = make_mesh(settings, telemetry)

    def key_check(self) -> Part:
        """Return the part that has auth_svc judge the service's own key, in the background: it may start later."""
        checks: list[asyncio.Task[None]] = []

        async def start() -> None:
            checks.append(asyncio.create_task(self.mesh.check_key(), name="own-key"))

        async def close() -> None:
            await asyncio.gather(*map(cancel, checks))

        return Part(start=start, close=close)

    def parts(self, metadata: MetaData, package: str) -> list[Part]:
        """Return the parts that open, verify and close the connections. The database must isolate tenants.

        Their start raises InsecureDatabase or DatabaseError: then do not serve.
        """

        async def verify() -> None:
            await row_security.verify(self.database, metadata, package=package)

        return [
            Part(start=self.database.open, close=self.database.close),
            Part(start=verify),
            Part(close=self.redis.aclose),
            Part(close=self.mesh.close),
        ]


def assemble(
    settings: ServiceSettings,
    connections: Connections,
    capabilities: Sequence[Capability],
    ports: ChainPorts,
    *,
    services: Mapping[ServiceDescriptor, AddToServer],
    metadata: MetaData,
    package: str,
    beside: Sequence[Part] = (),
) -> Application:
    """Put a service together: its servicers behind the chain, its health checks, and its start and close.

    package: the service's package, whose newest migration the database must have.
    beside: parts that are no capability's, started before all of these.

    Raises PolicyError for policies that can't be kept, and TypeError for a method that no capability answers.
    """
    chain = make_chain(services, ports, settings, connections.telemetry)
    background = [part for capability in capabilities for part in capability.background]
    checks = [
        Check("database", connections.database.check),
        *(check for capability in capabilities for check in capability.checks),
    ]
    life = Lifecycle([*connections.parts(metadata, package), *beside, *background, chain])
    return Application(
        services=registrations(services, capabilities),
        interceptors=[chain.aio_interceptor()],
        health=Health({service.full_name: checks for service in services}),
        names=[service.full_name for service in services],
        mesh_names=[service.full_name for service in CONTRACT],
        start=life.start,
        close=life.close,
        end_watches=chain.end_watches,
    )
