from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from grpc_health.v1 import health_pb2_grpc

from tenantmesh.runtime.server.handlers import collected


@dataclass
class Details:
    method: str
    invocation_metadata: Any = ()


def test_all_methods_are_found_by_their_full_name() -> None:
    servicer = health_pb2_grpc.HealthServicer()
    handler = collected([(health_pb2_grpc.add_HealthServicer_to_server, servicer)])
    found = handler.service(Details("/grpc.health.v1.Health/Check"))
    assert found is not None
    assert found.unary_unary == servicer.Check
    assert handler.service(Details("/grpc.health.v1.Health/Nothing")) is None


def test_a_service_given_twice_is_refused() -> None:
    registration = (health_pb2_grpc.add_HealthServicer_to_server, health_pb2_grpc.HealthServicer())
    with pytest.raises(ValueError, match="registered twice"):
        collected([registration, registration])
