"""The policies of methods: the option `(tenantmesh.policy.v1.method)`, read from the descriptors once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Literal

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor

from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.concurrency import CALLS, WATCHES
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT, Charge, ChargePer
from tenantmesh.policy.v1 import policy_pb2

__all__ = ["MethodPolicy", "PolicyError", "StoreDown", "TenantScope", "policies_of"]

DEFAULT_TIMEOUT = timedelta(seconds=10)
MAX_TIMEOUT = timedelta(seconds=60)


class PolicyError(Exception):
    """A policy is missing or contradicts itself. Raised when a process starts, never while it serves."""


class TenantScope(Enum):
    """Whether a call is for a tenant."""

    REQUIRED = policy_pb2.TENANT_SCOPE_REQUIRED
    OPTIONAL = policy_pb2.TENANT_SCOPE_OPTIONAL
    NONE = policy_pb2.TENANT_SCOPE_NONE


class StoreDown(Enum):
    """The behaviour of a limit while its store can't be reached."""

    DENY = policy_pb2.STORE_DOWN_DENY
    LOCAL = policy_pb2.STORE_DOWN_LOCAL
    ALLOW = policy_pb2.STORE_DOWN_ALLOW


COUNTED = (CallerKind.USER, CallerKind.SERVICE, CallerKind.ANONYMOUS)
"""The callers that limits count where a policy does not say so: all but operators."""


@dataclass(frozen=True, slots=True)
class MethodPolicy:
    """The policy of one method, checked and ready for use. Fields as in policy.proto."""

    method: str
    audiences: frozenset[CallerKind]
    permission: str = ""
    tenant_scope: TenantScope = TenantScope.NONE
    tenant_field: str = ""
    feature: str = ""
    meters: tuple[Charge, ...] = ()
    rate_class: str = ""
    concurrency_class: str = CALLS
    counted: tuple[CallerKind, ...] = COUNTED
    """The callers whose calls count against `rate_class` and `meters`."""
    store_down: StoreDown = StoreDown.DENY
    idempotent: bool = False
    """True when any call may be repeated, whatever its request holds."""
    by_request_id: bool = False
    """True when a call may be repeated with the same `request_id`."""
    audited: bool = False
    mutates: bool = False
    """True when the method changes something: its audit class is MUTATION."""
    streams: bool = False
    default_timeout: timedelta | None = DEFAULT_TIMEOUT
    max_timeout: timedelta | None = MAX_TIMEOUT
    while_suspended: bool = False
    while_deleted: bool = False
    while_read_only: bool = False

    public: bool = field(init=False)
    """True when callers without a credential are served."""
    deleted_for: tuple[CallerKind, ...] = field(init=False)
    """The callers that are served for a deleted tenant: operators, and services where the method is for no users."""

    def __post_init__(self) -> None:
        # Computed once, because every call reads it and hashing an enum member is a Python call.
        object.__setattr__(self, "public", CallerKind.ANONYMOUS in self.audiences)
        services = () if CallerKind.USER in self.audiences else (CallerKind.SERVICE,)
        object.__setattr__(self, "deleted_for", (CallerKind.OPERATOR, *services) if self.while_deleted else ())


_KINDS = {
    policy_pb2.AUDIENCE_PUBLIC: CallerKind.ANONYMOUS,
    policy_pb2.AUDIENCE_USER: CallerKind.USER,
    policy_pb2.AUDIENCE_SERVICE: CallerKind.SERVICE,
    policy_pb2.AUDIENCE_OPERATOR: CallerKind.OPERATOR,
}

_ANYBODY = frozenset(CallerKind)


def _well_known(method: str, *, streams: bool = False) -> MethodPolicy:
    default, maximum = (None, None) if streams else (DEFAULT_TIMEOUT, MAX_TIMEOUT)
    return MethodPolicy(
        method,
        _ANYBODY,
        store_down=StoreDown.ALLOW,
        idempotent=True,
        streams=streams,
        concurrency_class=WATCHES if streams else CALLS,
        default_timeout=default,
        max_timeout=maximum,
    )


WELL_KNOWN: Mapping[str, MethodPolicy] = {
    policy.method: policy
    for policy in (
        _well_known("/grpc.health.v1.Health/Check"),
        _well_known("/grpc.health.v1.Health/List"),
        _well_known("/grpc.health.v1.Health/Watch", streams=True),
        _well_known("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", streams=True),
        _well_known("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", streams=True),
    )
}
"""The policies of standard services, whose protos have none of ours: probes and tools call them without a credential.
The server's settings decide whether reflection is served at all."""


def policies_of(services: Iterable[ServiceDescriptor], *, complete: bool = True) -> dict[str, MethodPolicy]:
    """Return the policy of every method of the services, by full name (`/package.Service/Method`).

    Raises PolicyError that names every method with a contradictory policy, and, with `complete`, every method without
    one. It says what to write.
    """
    policies, wrong = dict(WELL_KNOWN), []
    for service in services:
        for method in service.methods:
            if not complete and not method.GetOptions().HasExtension(policy_pb2.method):
                continue
            try:
                policy = _read(method)
            except PolicyError as error:
                wrong.append(str(error))
            else:
                policies[policy.method] = policy
    if wrong:
        raise PolicyError("; ".join(wrong))
    return policies


def _read(method: MethodDescriptor) -> MethodPolicy:
    name = f"/{method.containing_service.full_name}/{method.name}"
    options = method.GetOptions()
    if not options.HasExtension(policy_pb2.method):
        raise PolicyError(f"{name} has no policy: add `option (tenantmesh.policy.v1.method)` to its proto")
    declared = options.Extensions[policy_pb2.method]
    _check(name, declared, method)
    streams = method.client_streaming or method.server_streaming
    return MethodPolicy(
        method=name,
        audiences=frozenset(_KINDS[audience] for audience in declared.audiences),
        permission=declared.permission,
        tenant_scope=TenantScope(declared.tenant_scope),
        tenant_field=declared.tenant_field,
        feature=declared.feature,
        meters=tuple(_charge(charge) for charge in declared.meters),
        rate_class=declared.rate_class,
        concurrency_class=declared.concurrency_class or (WATCHES if method.server_streaming else CALLS),
        counted=tuple(_KINDS[audience] for audience in declared.counted_audiences) or COUNTED,
        store_down=StoreDown(declared.store_down or policy_pb2.STORE_DOWN_DENY),
        idempotent=declared.idempotency == policy_pb2.IDEMPOTENCY_SAFE,
        by_request_id=declared.idempotency == policy_pb2.IDEMPOTENCY_BY_REQUEST_ID,
        audited=declared.audit in {policy_pb2.AUDIT_CLASS_MUTATION, policy_pb2.AUDIT_CLASS_ACCESS},
        mutates=declared.audit == policy_pb2.AUDIT_CLASS_MUTATION,
        streams=streams,
        default_timeout=_timeout(declared, "default_timeout", None if streams else DEFAULT_TIMEOUT),
        max_timeout=_timeout(declared, "max_timeout", None if streams else MAX_TIMEOUT),
        while_suspended=declared.while_suspended,
        while_deleted=declared.while_deleted,
        while_read_only=declared.while_read_only,
    )


def _charge(declared: policy_pb2.Charge) -> Charge:
    return Charge(declared.meter, declared.cost or 1, ChargePer(declared.per or policy_pb2.CHARGE_PER_CALL))


def _timeout(
    declared: policy_pb2.MethodPolicy, field: Literal["default_timeout", "max_timeout"], otherwise: timedelta | None
) -> timedelta | None:
    if not declared.HasField(field):
        return otherwise
    value: timedelta = getattr(declared, field).ToTimedelta()
    return value


def _check(name: str, declared: policy_pb2.MethodPolicy, method: MethodDescriptor) -> None:
    if not declared.audiences or any(audience not in _KINDS for audience in declared.audiences):
        raise PolicyError(f"{name}: list at least one of the audiences PUBLIC, USER, SERVICE, OPERATOR")
    if declared.tenant_scope == policy_pb2.TENANT_SCOPE_UNSPECIFIED:
        raise PolicyError(f"{name}: say whether the call is for a tenant (tenant_scope)")
    if declared.tenant_field:
        if not _has_text(method, declared.tenant_field):
            raise PolicyError(f"{name}: tenant_field must name a string field of a single request message")
        if declared.tenant_scope == policy_pb2.TENANT_SCOPE_NONE:
            raise PolicyError(f"{name}: a method with a tenant_field has tenant_scope REQUIRED or OPTIONAL")
    if declared.idempotency == policy_pb2.IDEMPOTENCY_BY_REQUEST_ID and not _has_text(method, "request_id"):
        raise PolicyError(f"{name}: a single request message needs the string field request_id to be idempotent by it")
    if declared.counted_audiences:
        _check_counted(name, declared)
    if declared.meters or declared.feature:
        _check_plan(name, declared, method)


def _check_counted(name: str, declared: policy_pb2.MethodPolicy) -> None:
    counted = set(declared.counted_audiences)
    if policy_pb2.AUDIENCE_OPERATOR in counted or not counted <= set(declared.audiences):
        raise PolicyError(f"{name}: counted_audiences are among the audiences, and operators are never counted")
    if not declared.rate_class and not declared.meters:
        raise PolicyError(f"{name}: counted_audiences says whose calls a rate_class or meters count; name one")


def _has_text(method: MethodDescriptor, name: str) -> bool:
    """Return whether the method takes a single request message, with a string field of that name."""
    field = method.input_type.fields_by_name.get(name)
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not method.client_streaming


def _check_plan(name: str, declared: policy_pb2.MethodPolicy, method: MethodDescriptor) -> None:
    """Check what a policy needs of the tenant's plan."""
    if declared.tenant_scope != policy_pb2.TENANT_SCOPE_REQUIRED:
        raise PolicyError(f"{name}: a method with a feature or meters needs tenant_scope REQUIRED")
    asked = [(charge.meter, charge.per or policy_pb2.CHARGE_PER_CALL) for charge in declared.meters]
    if len(asked) != len(set(asked)):
        raise PolicyError(f"{name}: name each meter once for each of CALL, REQUEST_MESSAGE and RESPONSE_MESSAGE")
    for charge in declared.meters:
        if not charge.meter or not 0 <= charge.cost <= LARGEST_AMOUNT:
            raise PolicyError(f"{name}: a charge names a meter, and costs 0 (which is 1) to {LARGEST_AMOUNT}")
        if charge.per == policy_pb2.CHARGE_PER_REQUEST_MESSAGE and not method.client_streaming:
            raise PolicyError(f"{name}: charge {charge.meter} per CALL: the method takes a single request message")
        if charge.per == policy_pb2.CHARGE_PER_RESPONSE_MESSAGE and not method.server_streaming:
            raise PolicyError(f"{name}: charge {charge.meter} per CALL: the method sends a single response message")
