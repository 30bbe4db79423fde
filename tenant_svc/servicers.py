"""One servicer per proto service, joined from the capabilities that its methods belong to."""

from __future__ import annotations

from google.protobuf.descriptor import ServiceDescriptor

__all__ = ["JoinedServicer"]


class JoinedServicer:
    """Has every method of the service, each from the part that defines it. Raises TypeError unless exactly one does."""

    def __init__(self, service: ServiceDescriptor, *parts: object) -> None:
        for method in service.methods:
            owners = [part for part in parts if hasattr(part, method.name)]
            if len(owners) != 1:
                raise TypeError(
                    f"{service.full_name}.{method.name} is defined by {len(owners)} of its parts, not by one"
                )
            setattr(self, method.name, getattr(owners[0], method.name))
