"""Operations as a client of others needs them: names, tenant parameters, refusals, and the forms of streams."""

from __future__ import annotations

import re

from tenantmesh.deploy.envoy.contract import Binding, Method
from tenantmesh.policy.v1 import policy_pb2
from tooling.openapi.policies import Described
from tooling.openapi.schemas import JsonObject

__all__ = ["COMPONENTS", "complete"]

STATUS = {"application/json": {"schema": {"$ref": "#/components/schemas/google.rpc.Status"}}}
ANSWERS = {
    400: ("BadRequest", "INVALID_ARGUMENT, FAILED_PRECONDITION or OUT_OF_RANGE: correct the request."),
    401: ("Unauthenticated", "UNAUTHENTICATED: the credential is missing, wrong or has expired."),
    403: ("PermissionDenied", "PERMISSION_DENIED: the caller may not call this method, or not for this tenant."),
    404: ("NotFound", "NOT_FOUND: the resource is missing, or belongs to another tenant."),
    409: ("Conflict", "ALREADY_EXISTS or ABORTED: the request conflicts with what is stored. Read it again."),
    429: ("TooManyRequests", "RESOURCE_EXHAUSTED: a limit is reached. `retry-after` says when to call again, if ever."),
    503: ("Unavailable", "UNAVAILABLE: a part is away. Retry with backoff."),
}
STATUS_OF = {
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "PERMISSION_DENIED": 403,
}
"""The HTTP status of each code that a method's comment may name, without those that any method may answer with."""
ANY_METHOD = (400, 401, 503)

PARAMETERS: JsonObject = {
    "TenantSlug": {
        "name": "x-tenant-slug",
        "in": "header",
        "description": "The slug of the tenant that the call is for. Left out when the credential or host names it.",
        "schema": {"type": "string"},
    },
    "TenantId": {
        "name": "x-tenant-id",
        "in": "header",
        "description": "The UUID of the tenant that the call is for, in place of its slug.",
        "schema": {"type": "string"},
    },
    "TenantQuery": {
        "name": "tenant",
        "in": "query",
        "description": "The slug of the tenant that the call is for, in place of a header.",
        "schema": {"type": "string"},
    },
}
COMPONENTS: JsonObject = {
    "parameters": PARAMETERS,
    "responses": {name: {"description": text, "content": STATUS} for name, text in ANSWERS.values()},
}


def complete(operation: JsonObject, method: Method, binding: Binding, described: Described) -> None:
    """Complete an operation by its policy, its comment, and the way in which the edge writes streams."""
    operation["operationId"] = _operation_id(method, binding)
    operation |= {"summary": _first_sentence(described.comment), "description": described.comment}
    if method.public:
        operation["security"] = []
    if described.takes_tenant:
        references = [{"$ref": f"#/components/parameters/{name}"} for name in PARAMETERS]
        operation["parameters"] = [*operation.get("parameters", ()), *references]
    operation["responses"] = _responses(operation["responses"], described)
    if method.streams:
        operation["responses"]["200"]["content"] = _stream(operation["responses"]["200"]["content"])


def _operation_id(method: Method, binding: Binding) -> str:
    """Return `Service_Method`. Further paths of the method add their end: `TenantService_CreateTenantAtTenants`."""
    service, _, name = method.path.rpartition("/")
    known = f"{service.rpartition('.')[2]}_{name}"
    if binding == method.bindings[0]:
        return known
    words = re.findall(r"[A-Za-z0-9]+", binding.path.rpartition("/")[2])
    return f"{known}At{''.join(word.capitalize() for word in words)}"


def _first_sentence(comment: str) -> str:
    return re.split(r"(?<=\.)\s", comment, maxsplit=1)[0]


def _responses(answers: JsonObject, described: Described) -> JsonObject:
    """Return the answers with the refusals that the method is known for, in the order of their numbers."""
    known = {str(code): {"$ref": f"#/components/responses/{ANSWERS[code][0]}"} for code in _refusals(described)}
    other = {**answers["default"], "description": "Any other error, which has the same form."}
    return {"200": answers["200"], **known, "default": other}


def _refusals(described: Described) -> list[int]:
    policy = described.policy
    codes = {*ANY_METHOD, *(code for name, code in STATUS_OF.items() if name in described.comment)}
    if list(policy.audiences) != [policy_pb2.AUDIENCE_PUBLIC] or policy.tenant_scope != policy_pb2.TENANT_SCOPE_NONE:
        codes.add(403)
    if policy.tenant_scope != policy_pb2.TENANT_SCOPE_NONE:
        codes.add(404)
    if policy.rate_class or policy.meters:
        codes.add(429)
    return sorted(codes)


def _stream(content: JsonObject) -> JsonObject:
    """Return the forms of a stream. The array comes last: a client that takes the first form would wait for its end."""
    # grpc-gateway would wrap each message; Envoy sends it as it is.
    message = content["application/json"]["schema"]["properties"]["result"]
    name = message["$ref"].rpartition("/")[2]
    lines = f"Lines of JSON: each is one `{name}`."
    events = f"Server-sent events: the data of each is one `{name}`."
    return {
        "application/x-ndjson": {"schema": {"type": "string", "description": lines}},
        "text/event-stream": {"schema": {"type": "string", "description": events}},
        "application/json": {"schema": {"type": "array", "items": message}},
    }
