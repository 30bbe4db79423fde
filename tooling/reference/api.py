"""docs/reference/api.md: every method with its REST path and its policy, from the descriptors."""

from __future__ import annotations

from google.protobuf import descriptor_pb2

from tenantmesh.deploy.envoy.contract import Method, read
from tenantmesh.deploy.envoy.settings import EdgeSettings
from tenantmesh.policy.v1 import policy_pb2
from tooling.reference.tables import code, table

__all__ = ["page"]

HEAD = """# API

Over gRPC: the packages in [`protos/`](../../protos/), with reflection in development. Over REST: the same methods by
the paths below; [openapi.json](openapi.json) has every field, and serves generators and API tools. Names are
lowerCamelCase in JSON; both spellings are read. [Calling over REST](../how-to/call-over-rest.md) shows the rest:
headers, tenants, streams.

*Who* are the audiences of the method's policy, with the permission that the caller needs: a user by its roles, a
service or operator by what its key was granted. *Tenant* says whether a call is for one. *Repeat* says whether a client
may send a call again by itself.
"""
REPEAT = {
    policy_pb2.IDEMPOTENCY_SAFE: "yes",
    policy_pb2.IDEMPOTENCY_BY_REQUEST_ID: "with the same `request_id`",
}


def page() -> str:
    """Return the page."""
    settings = EdgeSettings()
    contract = read(settings.descriptors, settings.upstreams)
    policies = _policies(settings)
    parts = [HEAD]
    for service in contract.services:
        rows = [_row(method, policies[method.path]) for method in service.methods]
        head = ("Method", "REST", "Who", "Tenant", "Rate class", "Repeat")
        parts.append(f"## {service.name}\n\n" + table(head, rows))
    return "\n".join(parts)


def _policies(settings: EdgeSettings) -> dict[str, policy_pb2.MethodPolicy]:
    files = descriptor_pb2.FileDescriptorSet.FromString(settings.descriptors.read_bytes()).file
    return {
        f"/{file.package}.{service.name}/{method.name}": method.options.Extensions[policy_pb2.method]
        for file in files
        for service in file.service
        for method in service.method
    }


def _row(method: Method, policy: policy_pb2.MethodPolicy) -> tuple[str, ...]:
    name = method.path.rpartition("/")[2] + (" (stream)" if method.streams else "")
    paths = " <br> ".join(code(f"{binding.verb} {binding.path}") for binding in method.bindings)
    who = ", ".join(_word(policy_pb2.Audience.Name(each)) for each in policy.audiences)
    permission = f" with {code(policy.permission)}" if policy.permission else ""
    scope = _word(policy_pb2.TenantScope.Name(policy.tenant_scope).removeprefix("TENANT_"))
    field = f", by {code(policy.tenant_field)}" if policy.tenant_field else ""
    repeat = REPEAT.get(policy.idempotency, "no")
    return name, paths or policy.no_rest_reason, who + permission, scope + field, code(policy.rate_class), repeat


def _word(name: str) -> str:
    return name.partition("_")[2].lower()
