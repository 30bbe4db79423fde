"""Finds the tenant that the call is for.

Sources: the credential's tenant; `x-tenant-id`; `x-tenant-slug`; `?tenant=`; the host, as a subdomain of the base
domain; and, where the resource is the tenant itself, the request's own field (`tenant_field` of the policy).

1. A credential that is bound to a tenant decides; every other source may only agree.
2. Without one the sources select the tenant, and must agree among themselves.
3. Disagreement is refused and recorded as a security event, never resolved by precedence.
4. A foreign tenant answers as a missing one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument, MeshError, PermissionDenied
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.logs import security_event
from tenantmesh.interceptors.lookup import MISS
from tenantmesh.interceptors.metadata import (
    FORWARDED_HOST,
    TENANT_ID,
    TENANT_QUERY,
    TENANT_SLUG,
    TENANT_SOURCES,
    duplicate,
)
from tenantmesh.interceptors.passage import Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy, PolicyError, TenantScope
from tenantmesh.interceptors.tenants import (
    TenantKey,
    TenantLookup,
    TenantRecord,
    TenantState,
    is_slug,
    no_such_tenant,
    parse_tenant_id,
    refuse_unless_active,
)

__all__ = ["INFRASTRUCTURE_LABELS", "Tenancy"]

_ACTIVE = TenantState.ACTIVE
INFRASTRUCTURE_LABELS = frozenset({"www", "api", "app", "admin", "auth", "edge"})
"""Subdomains of the base domain that never name a tenant."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A source that names a tenant. The key is None where the text has no form of a tenant's id or slug."""

    name: str
    key: TenantKey | None


class Tenancy:
    """Establishes `call.tenant` for methods whose policy says that a call is for a tenant."""

    def __init__(self, directory: TenantLookup | None, base_domain: str) -> None:
        self._directory = directory
        self._suffix = f".{base_domain.lower()}" if base_domain else ""

    def bind(self, policy: MethodPolicy) -> Moments | None:
        """As `Link.bind`. Raises PolicyError when the method is for a tenant and the chain has no directory."""
        if policy.tenant_scope is TenantScope.NONE:
            return None
        if self._directory is None:
            raise PolicyError(f"{policy.method} is for a tenant: give the chain a tenant directory")
        if policy.tenant_field:
            by_field = _TenancyByField(self._directory, self._suffix, policy)
            return Moments(enter=by_field.enter, receive=by_field.receive)
        return Moments(enter=_BoundTenancy(self._directory, self._suffix, policy).enter)


class _BoundTenancy:
    def __init__(self, directory: TenantLookup, suffix: str, policy: MethodPolicy) -> None:
        self._directory = directory
        self._suffix = suffix
        self._policy = policy
        self._optional = policy.tenant_scope is TenantScope.OPTIONAL
        self._required = not self._optional and not policy.tenant_field

    def enter(self, call: Passage) -> Waiting:
        headers = call.headers
        # Nearly every call of a user names no other source, and then nothing has to be compared.
        named = TENANT_ID in headers or TENANT_SLUG in headers or TENANT_QUERY in headers or FORWARDED_HOST in headers
        sources = self._sources(headers) if named else ()
        bound_to = call.caller.tenant_id
        if bound_to is None:
            return self._select(call, sources)
        tenant = self._directory.peek(bound_to)
        if not sources and type(tenant) is TenantRecord and tenant.state is _ACTIVE and self._directory.live:
            call.tenant = tenant  # what the steps below come to for nearly every call of a user
            return None
        if tenant is None or isinstance(tenant, TenantRecord):
            self._confirm(call, tenant, sources)
            return None
        return self._find_and_confirm(call, bound_to, sources)

    def _sources(self, headers: dict[str, str]) -> tuple[_Source, ...]:
        for key in TENANT_SOURCES:
            if "," in headers.get(key, ""):
                raise duplicate(key)  # a list in one header is a repetition spelt differently
        found = []
        if (text := headers.get(TENANT_ID)) is not None:
            found.append(_Source(TENANT_ID, parse_tenant_id(text)))
        if (text := headers.get(TENANT_SLUG)) is not None:
            found.append(_Source(TENANT_SLUG, text if is_slug(text) else None))
        if (text := headers.get(TENANT_QUERY)) is not None:
            found.append(_Source("?tenant", parse_tenant_id(text) or (text if is_slug(text) else None)))
        if (label := self._subdomain(headers.get(FORWARDED_HOST, ""))) is not None:
            found.append(_Source("host", label if is_slug(label) else None))
        return tuple(found)

    def _subdomain(self, host: str) -> str | None:
        """Return the one label before the base domain, or None for a host that names no tenant."""
        if not self._suffix or not host:
            return None
        name, colon, port = host.lower().partition(":")
        name = name.removesuffix(".")  # the fully qualified spelling of the same host
        if not name.endswith(self._suffix):
            return None
        label = name[: -len(self._suffix)]
        if colon and not port.isdigit():
            return ""  # a host that names a tenant, but none that exists
        return None if label in INFRASTRUCTURE_LABELS else label

    async def _find_and_confirm(self, call: Passage, key: TenantKey, sources: tuple[_Source, ...]) -> None:
        self._confirm(call, await self._directory.find(key), sources)

    def _confirm(self, call: Passage, tenant: TenantRecord | None, sources: tuple[_Source, ...]) -> None:
        """Rule 1: every source must name the credential's tenant. No other tenant is looked up, so nothing of one can
        leak."""
        if tenant is None:
            raise no_such_tenant()
        for source in sources:
            if not tenant.is_called(source.key):
                raise _refused(
                    call,
                    PermissionDenied(
                        "TENANT_MISMATCH",
                        f"The credential belongs to another tenant than {source.name} names. "
                        f"Drop {source.name}, or sign in to the tenant that it names.",
                        metadata={"source": source.name},
                    ),
                )
        self._admit(call, tenant)

    def _select(self, call: Passage, sources: tuple[_Source, ...]) -> Waiting:
        """Rule 2: the sources select the tenant. They may be missing where the policy requires none."""
        if not sources:
            if self._required:
                raise _required()
            return None
        found: list[TenantRecord | None] = []
        for source in sources:
            tenant = self._directory.peek(source.key) if source.key is not None else None
            if tenant is MISS:
                return self._find_and_agree(call, sources)
            found.append(tenant if isinstance(tenant, TenantRecord) else None)
        self._agree(call, sources, found)
        return None

    async def _find_and_agree(self, call: Passage, sources: tuple[_Source, ...]) -> None:
        found = [await self._directory.find(source.key) if source.key is not None else None for source in sources]
        self._agree(call, sources, found)

    def _agree(self, call: Passage, sources: tuple[_Source, ...], found: list[TenantRecord | None]) -> None:
        first = found[0]
        if any(tenant != first for tenant in found):
            names = ", ".join(source.name for source in sources)
            raise _refused(
                call,
                InvalidArgument(
                    "TENANT_CONFLICT",
                    f"These sources name different tenants: {names}. Send one of them, or make them agree.",
                    metadata={"sources": names},
                ),
            )
        if first is None:
            raise no_such_tenant()
        self._admit(call, first)

    def _admit(self, call: Passage, tenant: TenantRecord) -> None:
        """Check the tenant's state and establish it as the call's."""
        if tenant.state is not _ACTIVE:
            operator = call.caller.kind is CallerKind.OPERATOR
            refuse_unless_active(
                tenant,
                serve_suspended=operator or self._policy.while_suspended,
                serve_deleted=operator and self._policy.while_deleted,
            )
        if not self._directory.live:
            call.degraded = True
        call.tenant = tenant


class _TenancyByField(_BoundTenancy):
    """For methods whose resource is the tenant itself: the request's field is one more source."""

    def receive(self, call: Passage, request: Any) -> Waiting:
        field = self._policy.tenant_field
        text = getattr(request, field)
        if not text:
            if self._optional:  # the other sources have decided
                return None
            raise InvalidArgument.fields([FieldViolation(field, "must be the tenant's UUID or slug")])
        key = parse_tenant_id(text) or (text if is_slug(text) else None)
        if call.caller.tenant_id is not None:
            # `enter` has established the caller's own tenant; any other does not exist for it.
            if call.tenant is None or key is None or not call.tenant.is_called(key):
                raise no_such_tenant()
            return None
        if key is None:
            raise no_such_tenant()
        tenant = self._directory.peek(key)
        if tenant is None or isinstance(tenant, TenantRecord):
            self._take(call, tenant)
            return None
        return self._find_and_take(call, key)

    async def _find_and_take(self, call: Passage, key: TenantKey) -> None:
        self._take(call, await self._directory.find(key))

    def _take(self, call: Passage, tenant: TenantRecord | None) -> None:
        if tenant is None:
            raise no_such_tenant()
        if call.tenant is not None and call.tenant != tenant:
            raise _refused(
                call,
                InvalidArgument(
                    "TENANT_CONFLICT",
                    "The request and its metadata name different tenants. Send one of them, or make them agree.",
                    metadata={"sources": self._policy.tenant_field},
                ),
            )
        self._admit(call, tenant)


def _required() -> InvalidArgument:
    return InvalidArgument(
        "TENANT_REQUIRED",
        "This method is for a tenant and none is named. Send x-tenant-id or x-tenant-slug, use the tenant's host, or "
        "append ?tenant=<slug>.",
    )


def _refused(call: Passage, error: MeshError) -> MeshError:
    """Record the refusal as a security event, where it happens, and return it."""
    security_event(
        "tenant refused",
        reason=error.reason,
        method=call.method,
        request_id=call.request_id,
        peer=call.peer_address,
        caller=call.caller.kind.value,
        credential_id=call.caller.credential_id,
        tenant_id=str(call.caller.tenant_id or ""),
    )
    return error
