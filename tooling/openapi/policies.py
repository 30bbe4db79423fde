"""The policies and comments of the methods, which the OpenAPI plugin does not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import descriptor_pb2

from tenantmesh.policy.v1 import policy_pb2

__all__ = ["Described", "describe"]

SERVICES_OF_FILE = descriptor_pb2.FileDescriptorProto.DESCRIPTOR.fields_by_name["service"].number
METHODS_OF_SERVICE = descriptor_pb2.ServiceDescriptorProto.DESCRIPTOR.fields_by_name["method"].number
COMMENT_OF_METHOD = 4
"""Numbers in the path of a method: the file's services, one of them, its methods, one of them."""


@dataclass(frozen=True, slots=True)
class Described:
    """A method's policy and its comment, on one line."""

    policy: policy_pb2.MethodPolicy
    comment: str

    @property
    def takes_tenant(self) -> bool:
        """Return whether the caller may name the tenant beside the request: no field of the request does, nor always
        the credential."""
        policy = self.policy
        scoped = policy.tenant_scope in (policy_pb2.TENANT_SCOPE_REQUIRED, policy_pb2.TENANT_SCOPE_OPTIONAL)
        users_only = list(policy.audiences) == [policy_pb2.AUDIENCE_USER]
        return scoped and not policy.tenant_field and not users_only


def describe(descriptors: Path) -> dict[str, Described]:
    """Return what is declared about each method, by its gRPC path."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes()).file
    return {path: described for file in files for path, described in _of_file(file)}


def _of_file(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, Described]]:
    for location in file.source_code_info.location:
        numbers = list(location.path)
        if len(numbers) == COMMENT_OF_METHOD and numbers[::2] == [SERVICES_OF_FILE, METHODS_OF_SERVICE]:
            service = file.service[numbers[1]]
            method = service.method[numbers[3]]
            policy = method.options.Extensions[policy_pb2.method]
            comment = " ".join(location.leading_comments.split())
            yield f"/{file.package}.{service.name}/{method.name}", Described(policy, comment)
