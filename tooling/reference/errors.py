"""docs/reference/errors.md: every reason, from the comments of the enums and from the places that give them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from google.protobuf import descriptor_pb2
from google.rpc import code_pb2

from tenantmesh.deploy.envoy.replies import REASONED, REPLIES, SAID, Reasoned
from tenantmesh.deploy.envoy.settings import default_descriptors
from tooling.reference.reasons import given
from tooling.reference.tables import code, table

__all__ = ["GROUPS", "page", "reasons"]

PREFIX = "ERROR_REASON_"
ENUM = "ErrorReason"
HTTP: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "UNIMPLEMENTED": 501,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status in which Envoy's transcoder sends a code."""

HEAD = """# Errors

Every refusal is a `google.rpc.Status`. Its `ErrorInfo` names a **reason** out of these tables, always with the domain
`tenantmesh`. Act on the code and the reason; the message is for people.
[How to read a refusal](../how-to/read-a-refusal.md) shows whole answers.

Reasons are never renamed and never change their code, so a program may rely on them.
"""
CHAIN = "## Given by the chain\n\nAny method of any service that uses the library may answer with these.\n"
GROUPS = {
    "tenantmesh.policy.v1": CHAIN,
    "tenantmesh.tenant.v1": "## Given by tenant_svc\n",
    "tenantmesh.auth.v1": "## Given by auth_svc\n",
}
EDGE = """## Given by the edge

The edge refuses some calls before any service sees them. A limit of its own has a reason; the header `retry-after` says
when to try again after `EDGE_RATE_LIMITED`.
"""
UNREASONED = """Other refusals of the edge have a code and a message, and empty `details`: no reason. To gRPC
callers they are a plain gRPC status.
"""


def page() -> str:
    """Return the page. Raises LookupError for a reason that nothing gives."""
    codes = codes_by_reason()
    parts = [HEAD]
    for package, head in GROUPS.items():
        rows = [_row(reason, text, codes) for reason, text in reasons(package)]
        parts.append(head + "\n" + table(("Reason", "Code", "HTTP", "Meaning, and what to do"), rows))
    replies = [
        (
            str(status),
            code(code_pb2.Code.Name(number)),
            "what was wrong with the request, in words" if said == SAID else said,
        )
        for status, (number, said) in REPLIES.items()
    ]
    limits = [_edge_row(refusal) for refusal in REASONED]
    parts.append(EDGE + "\n" + table(("Reason", "Code", "HTTP", "Meaning, and what to do"), limits))
    parts.append(UNREASONED + "\n" + table(("HTTP", "Code", "Message"), replies))
    return "\n".join(parts)


def _edge_row(refusal: Reasoned) -> tuple[str, str, str, str]:
    name = code_pb2.Code.Name(refusal.code)
    return code(refusal.reason), code(name), str(HTTP[name]), refusal.message


def _row(reason: str, text: str, codes: Mapping[str, set[str]]) -> tuple[str, str, str, str]:
    if reason not in codes:
        raise LookupError(f"nothing gives the reason {reason}: remove it from its error_reason.proto")
    found = sorted(codes[reason])
    return code(reason), ", ".join(map(code, found)), ", ".join(str(HTTP[each]) for each in found), text


def reasons(package: str) -> Iterator[tuple[str, str]]:
    """Yield each reason of the package, without its prefix, and what its comment says after the name."""
    files = descriptor_pb2.FileDescriptorSet.FromString(default_descriptors().read_bytes()).file
    file = next(each for each in files if each.package == package and any(enum.name == ENUM for enum in each.enum_type))
    comments = {tuple(each.path): each.leading_comments for each in file.source_code_info.location}
    number = next(at for at, enum in enumerate(file.enum_type) if enum.name == ENUM)
    for at, value in enumerate(file.enum_type[number].value):
        if value.number:
            # 5 and 2 are the field numbers of enum_type and value in descriptor.proto.
            text = comments[5, number, 2, at].strip().removeprefix(f"{value.name}:").strip()
            yield value.name.removeprefix(PREFIX), text


def codes_by_reason() -> dict[str, set[str]]:
    """Return the codes with which the code gives each reason."""
    found: dict[str, set[str]] = defaultdict(set)
    for each in given():
        if each.reason is not None and each.code is not None:
            found[each.reason].add(each.code)
    return found
