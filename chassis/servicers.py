"""One servicer per service, joined from the parts that its capabilities answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from tenantmesh.chassis.capability import Capability
from tenantmesh.runtime.server.application import ServicerRegistration

__all__ = ["JoinedServicer", "registrations"]


class JoinedServicer:
    """A servicer with every method of the service. Raises TypeError if a method is in no part or in several."""

    def __init__(self, service: ServiceDescriptor, *parts: object) -> None:
        for method in service.methods:
            owners = [part for part in parts if hasattr(part, method.name)]
            if len(owners) != 1:
                raise TypeError(
                    f"{service.full_name}.{method.name} is defined by {len(owners)} of its parts, not by one"
                )
            setattr(self, method.name, getattr(owners[0], method.name))


def registrations(
    services: Mapping[ServiceDescriptor, Callable[[Any, Any], None]], capabilities: Iterable[Capability]
) -> list[ServicerRegistration]:
    """Return the registrations of the server: the generated `add_…_to_server` and the joined servicer of each service.

    Raises TypeError for a method without a part, or with two, and for a part of a service that is not listed.
    """
    parts: dict[ServiceDescriptor, list[object]] = {service: [] for service in services}
    for capability in capabilities:
        for service, part in capability.servicers.items():
            if service not in parts:
                raise TypeError(f"{capability.name} answers {service.full_name}, which this process does not serve")
            parts[service].append(part)
    return [(add, JoinedServicer(service, *parts[service])) for service, add in services.items()]
