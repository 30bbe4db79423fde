"""Every RPC says who may call it and how it is reached over REST, and every refusal is one that is documented."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor

from tenantmesh.auth.v1 import error_reason_pb2 as auth_reasons
from tenantmesh.interceptors.policy import policies_of
from tenantmesh.policy.v1 import error_reason_pb2 as policy_reasons
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import error_reason_pb2 as tenant_reasons
from tests.transports import METHODS, SERVICES, full_name

ROOT = Path(__file__).resolve().parents[2]
ERRORS = {
    "InvalidArgument", "OutOfRange", "Unauthenticated", "PermissionDenied", "NotFound", "AlreadyExists", "Aborted",
    "FailedPrecondition", "ResourceExhausted", "DeadlineExceeded", "Unavailable", "Internal",
}  # fmt: skip


def test_every_rpc_has_a_policy() -> None:
    assert policies_of(SERVICES), "add option (tenantmesh.policy.v1.method) to the RPC; protos/README.md shows how"


@pytest.mark.parametrize("method", METHODS, ids=full_name)
def test_every_rpc_has_a_rest_path_or_a_reason_for_none(method: MethodDescriptor) -> None:
    has_path = method.GetOptions().HasExtension(annotations_pb2.http)
    reason = method.GetOptions().Extensions[policy_pb2.method].no_rest_reason
    assert has_path != bool(reason), "annotate google.api.http, or say in no_rest_reason why there is none; never both"


@pytest.mark.parametrize("method", METHODS, ids=full_name)
def test_what_is_not_public_names_a_permission_or_is_about_the_caller(method: MethodDescriptor) -> None:
    policy = method.GetOptions().Extensions[policy_pb2.method]
    public = policy_pb2.AUDIENCE_PUBLIC in policy.audiences
    own = list(policy.audiences) == [policy_pb2.AUDIENCE_USER]
    assert public or own or policy.permission, "name the permission that services and users need"


@pytest.mark.parametrize("method", METHODS, ids=full_name)
def test_public_methods_have_a_rate_class(method: MethodDescriptor) -> None:
    policy = method.GetOptions().Extensions[policy_pb2.method]
    if policy_pb2.AUDIENCE_PUBLIC in policy.audiences:
        assert policy.rate_class, "a public method is limited by address: name its rate_class"


@pytest.mark.parametrize("method", METHODS, ids=full_name)
def test_what_takes_an_etag_is_not_repeated_blindly(method: MethodDescriptor) -> None:
    policy = method.GetOptions().Extensions[policy_pb2.method]
    resources = [field.message_type for field in method.input_type.fields if field.message_type]
    takes_etag = any("etag" in message.fields_by_name for message in (method.input_type, *resources))
    assert not takes_etag or policy.idempotency != policy_pb2.IDEMPOTENCY_SAFE, (
        "what succeeded would answer a retry with ETAG_MISMATCH: make it IDEMPOTENCY_UNSAFE or …_BY_REQUEST_ID"
    )


def test_the_paths_that_clients_rely_on_exist() -> None:
    annotated = [method.GetOptions() for method in METHODS if method.GetOptions().HasExtension(annotations_pb2.http)]
    rules = [options.Extensions[annotations_pb2.http] for options in annotated]
    paths = {(rule.WhichOneof("pattern"), getattr(rule, rule.WhichOneof("pattern"))) for rule in rules}
    assert paths >= {
        ("post", "/api/v1/tenants/create"),
        ("get", "/api/v1/tenants/{id}"),
        ("post", "/api/v1/tenants/{id}/migrate"),
        ("post", "/api/v1/auth/login"),
        ("post", "/api/v1/auth/register"),
    }


def documented() -> set[str]:
    """Every reason of the enums, without the prefix."""
    enums = (policy_reasons.ErrorReason, tenant_reasons.ErrorReason, auth_reasons.ErrorReason)
    return {name.removeprefix("ERROR_REASON_") for enum in enums for name in enum.keys()}  # noqa: SIM118  # not a dict


def raised() -> dict[str, str]:
    """Every literal reason that the code gives, and where."""
    found = {}
    for package in ("interceptors", "chassis", "tenant_svc", "auth_svc"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
                    first = node.args[0] if node.args else None
                    if isinstance(first, ast.Constant) and isinstance(first.value, str):
                        found[first.value] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return found


def test_every_reason_that_is_raised_is_in_an_enum() -> None:
    unknown = {reason: where for reason, where in raised().items() if reason not in documented()}
    assert not unknown, f"add these to an error_reason.proto, with what the caller should do: {unknown}"


def test_every_reason_in_an_enum_is_raised() -> None:
    folders = [ROOT / package for package in ("interceptors", "chassis", "tenant_svc", "auth_svc")]
    code = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    idle = {reason for reason in documented() - {"UNSPECIFIED"} if f'"{reason}"' not in code}
    assert not idle, f"nothing gives these reasons: {idle}"
