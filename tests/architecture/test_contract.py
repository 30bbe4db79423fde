"""Every RPC says who may call it and how it is reached over REST, and every refusal is one that is documented."""

from __future__ import annotations

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor

from tenantmesh.auth.v1 import error_reason_pb2 as auth_reasons
from tenantmesh.interceptors.policy import policies_of
from tenantmesh.policy.v1 import error_reason_pb2 as policy_reasons
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import error_reason_pb2 as tenant_reasons
from tests.transports import METHODS, SERVICES, full_name
from tooling.reference.reasons import Given, given, given_in

UNREADABLE = {
    "chassis/signing/key_ring.py": "gives the reason that the service has for keys that can't sign",
    "tenant_svc/purges/accounts.py": "passes on the reason for which auth_svc does not purge",
    "auth_svc/gauges/reports.py": "passes on the reason for which tenant_svc does not serve one tenant now",
    "chassis/doors.py": "gives the reason of the outage that each service declares",
    "tenant_svc/operations/operation.py": "turns a refusal that something else gave into the outcome of an operation",
    "tenant_svc/operations/repository.py": "reads an outcome that was stored",
}
"""Files with a place that gives a reason which can't be read off the code, and what it does."""


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


def policy_of(method: MethodDescriptor) -> policy_pb2.MethodPolicy:
    return method.GetOptions().Extensions[policy_pb2.method]


NOT_OF_THE_MESH = {policy_pb2.AUDIENCE_PUBLIC, policy_pb2.AUDIENCE_USER}
UNLIMITED: dict[str, str] = {}
"""Methods for users or for anybody that have no burst limit, and why."""
OPEN = [method for method in METHODS if NOT_OF_THE_MESH & set(policy_of(method).audiences)]


@pytest.mark.parametrize("method", OPEN, ids=full_name)
def test_methods_for_users_and_for_anybody_count_against_a_burst_limit(method: MethodDescriptor) -> None:
    policy = policy_of(method)
    counted = set(policy.counted_audiences or policy.audiences)
    assert bool(policy.rate_class) != (full_name(method) in UNLIMITED), (
        "name the rate_class that counts calls by tenant (of a public method by address), or say above why none does"
    )
    assert counted >= NOT_OF_THE_MESH & set(policy.audiences), "counted_audiences leaves out USER"


def test_what_services_need_to_serve_anybody_is_refused_for_no_tenants_burst() -> None:
    """Otherwise a tenant that floods has the mesh's own look-ups for it refused."""
    look_ups = {"GetEntitlements", "CheckEntitlement", "BatchCheckEntitlements", "Lease", "Return", "ResolveTenant"}
    look_ups |= {"WatchTenants", "WatchEntitlements", "IntrospectToken", "ReportGauge", "AdjustGauge"}
    policies = {method.name: policy_of(method) for method in METHODS if method.name in look_ups}
    assert set(policies) == look_ups
    limited = {
        name
        for name, policy in policies.items()
        if policy.rate_class and list(policy.counted_audiences) != [policy_pb2.AUDIENCE_USER]
    }
    assert not limited


def takes_etag(method: MethodDescriptor) -> bool:
    resources = [field.message_type for field in method.input_type.fields if field.message_type]
    return any("etag" in message.fields_by_name for message in (method.input_type, *resources))


@pytest.mark.parametrize("method", [method for method in METHODS if takes_etag(method)], ids=full_name)
def test_what_takes_an_etag_is_not_repeated_blindly(method: MethodDescriptor) -> None:
    assert policy_of(method).idempotency != policy_pb2.IDEMPOTENCY_SAFE, (
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


def test_the_policy_keeps_numbers_for_strong_sign_in() -> None:
    kept = {"max_auth_age": 16, "min_acr": 17, "impersonation": 18}
    others = {field.number for field in policy_pb2.MethodPolicy.DESCRIPTOR.fields if field.name not in kept}
    assert not others & set(kept.values())
    named = policy_pb2.MethodPolicy.DESCRIPTOR.fields_by_name
    assert all(named[name].number == number for name, number in kept.items() if name in named)


def documented() -> set[str]:
    """Every reason of the enums, without the prefix."""
    enums = (policy_reasons.ErrorReason, tenant_reasons.ErrorReason, auth_reasons.ErrorReason)
    return {name.removeprefix("ERROR_REASON_") for enum in enums for name in enum.DESCRIPTOR.values_by_name}


def test_every_reason_that_is_raised_is_in_an_enum() -> None:
    unknown = {each.reason: each.where for each in given() if each.reason not in {None, *documented()}}
    assert not unknown, f"add these to an error_reason.proto, with what the caller should do: {unknown}"


def test_every_reason_in_an_enum_is_raised() -> None:
    idle = documented() - {"UNSPECIFIED"} - {each.reason for each in given()}
    assert not idle, f"nothing gives these reasons: {idle}"


def test_every_reason_can_be_read_off_the_code() -> None:
    unread = {each.where for each in given() if each.reason is None}
    assert {where.partition(":")[0] for where in unread} == set(UNREADABLE), f"give a literal, or add a file: {unread}"


@pytest.mark.parametrize(
    "source",
    [
        'from tenantmesh.interceptors.errors import NotFound\nNotFound("GONE", "x")',
        'from tenantmesh.interceptors.errors import NotFound\nNotFound(message="x", reason="GONE")',
        'from tenantmesh.interceptors.errors import NotFound as Missing\nMissing("GONE", "x")',
        'from tenantmesh.interceptors import errors\nerrors.NotFound("GONE", "x")',
        'import tenantmesh.interceptors.errors\ntenantmesh.interceptors.errors.NotFound("GONE", "x")',
        'class NotFound:\n    @classmethod\n    def all(cls):\n        return cls("GONE", "x")',
        'WHY = "GONE"\ndef f():\n    raise NotFound(WHY, "x")',
        'def f(late):\n    why = "GONE" if late else ""\n    raise NotFound(why, "x")',
        'def f(why):\n    raise NotFound(why, "x")\ndef g():\n    f("GONE")',
        'def f(why):\n    raise NotFound(why, "x")\ndef g(why):\n    f(why=why)\ng("GONE")',
        'class A:\n    def f(self, why):\n        raise NotFound(why, "x")\n    def g(self):\n        self.f("GONE")',
    ],
)
def test_reasons_are_found_however_they_are_given(source: str) -> None:
    assert [(each.code, each.reason) for each in given_in(source, "x.py")] == [("NOT_FOUND", "GONE")]


def test_outcomes_and_decisions_give_reasons_too() -> None:
    failure, decision = 'Failure("ABORTED", "GONE", "x")', 'Decision("GONE" if late else "", entitlement, usage)'
    assert list(given_in(failure, "x.py")) == [Given("ABORTED", "GONE", "x.py:1")]
    assert list(given_in(decision, "x.py")) == [Given(None, "GONE", "x.py:1")]


def test_a_class_of_the_same_name_gives_no_reason() -> None:
    assert not list(given_in('from elsewhere import Aborted\nAborted("GONE")', "x.py"))
