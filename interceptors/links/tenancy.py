"""Finds the tenant that the call is for.

Sources: the credential's tenant; `x-tenant-id`; `x-tenant-slug`; `?tenant=`; the host, as a subdomain of the base
domain or as a tenant's login host; and, where the resource is the tenant itself, the request's own field
(`tenant_field` of the policy).

1. A credential that is bound to a tenant decides; every other source may only agree.
2. Without one the sources select the tenant, and must agree among themselves.
3. Disagreement is refused and recorded as a security event, never resolved by precedence.
4. A foreign tenant answers as a missing one.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument, MeshError, PermissionDenied, Unavailable
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.logs import security_event
from tenantmesh.interceptors.lookup import MISS
from tenantmesh.interceptors.passage import Passage, Recheck, Waiting
from tenantmesh.interceptors.policy import MethodPolicy, PolicyError, TenantScope
from tenantmesh.interceptors.tenant_sources import TenantSelector, names_a_tenant, selectors
from tenantmesh.interceptors.tenants import (
    TenantKey,
    TenantLookup,
    TenantRecord,
    TenantState,
    deleted_tenant,
    is_slug,
    no_such_tenant,
    parse_tenant_id,
    refuse_unless_active,
)

__all__ = ["Tenancy"]

_ACTIVE = TenantState.ACTIVE
RECHECK = 0.3
"""Seconds between two looks at an open stream's tenant: from memory, unless it may have changed."""


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
        by_field = _TenancyByField(self._directory, self._suffix, policy) if policy.tenant_field else None
        bound = by_field or _BoundTenancy(self._directory, self._suffix, policy)
        enter = bound.enter_stream if policy.streams else bound.enter
        return Moments(enter=enter, receive=by_field.receive if by_field else None)


class _BoundTenancy:
    def __init__(self, directory: TenantLookup, suffix: str, policy: MethodPolicy) -> None:
        self._directory = directory
        self._suffix = suffix
        self._policy = policy
        self._optional = policy.tenant_scope is TenantScope.OPTIONAL
        self._required = not self._optional and not policy.tenant_field

    def enter(self, call: Passage) -> Waiting:
        headers = call.headers
        sources = selectors(headers, self._suffix) if names_a_tenant(headers) else ()
        bound_to = call.caller.tenant_id
        if bound_to is None:
            return self._select(call, sources)
        tenant = self._directory.peek(bound_to)
        if not sources and type(tenant) is TenantRecord and tenant.state is _ACTIVE and self._directory.live:
            call.tenant = tenant  # what the steps below come to for nearly every call of a user
            return None
        if tenant is None or isinstance(tenant, TenantRecord):
            known = self._known(tenant, sources)
            if known is not None:
                self._confirm(call, tenant, known)
                return None
        return self._find_and_confirm(call, bound_to, sources)

    def enter_stream(self, call: Passage) -> Waiting:
        """Do the same, and have the watchdog follow the tenant while the stream is open."""
        call.rechecks += (Recheck(self.recheck, RECHECK, self.unchanged),)
        return self.enter(call)

    def unchanged(self, call: Passage) -> bool:
        """Return whether the directory still has the tenant as the call knows it."""
        return call.tenant is None or self._directory.peek(call.tenant.id) is call.tenant

    async def recheck(self, call: Passage) -> None:
        """Raise NotFound or PermissionDenied when the call's tenant is no longer served."""
        if call.tenant is not None:
            tenant = await self._directory.find(call.tenant.id)
            self._refuse_unless_served(call, tenant)
            call.tenant = tenant

    def _known(
        self, tenant: TenantRecord | None, sources: tuple[TenantSelector, ...]
    ) -> tuple[TenantSelector, ...] | None:
        """Return the sources that count, or None where a look-up has to tell. A host of no tenant does not count."""
        counting = []
        for source in sources:
            if source.only_if_known and not (tenant is not None and tenant.is_called(source.key)):
                other = None if source.key is None else self._directory.peek(source.key)
                if other is None:
                    continue
                if not isinstance(other, TenantRecord):
                    return None
            counting.append(source)
        return tuple(counting)

    async def _find_and_confirm(self, call: Passage, key: TenantKey, sources: tuple[TenantSelector, ...]) -> None:
        tenant = await self._directory.find(key)
        if self._known(tenant, sources) is None:
            await self._look_up(sources)
        known = self._known(tenant, sources)
        certain = tuple(source for source in sources if not source.only_if_known)
        self._confirm(call, tenant, certain if known is None else known)

    async def _look_up(self, sources: tuple[TenantSelector, ...]) -> None:
        """Learn whose hosts these are. While nobody can tell, they do not count: the credential alone decides."""
        for source in sources:
            if source.only_if_known and source.key is not None:
                with suppress(Unavailable):
                    await self._directory.find(source.key)

    def _confirm(self, call: Passage, tenant: TenantRecord | None, sources: tuple[TenantSelector, ...]) -> None:
        """Rule 1: every source must name the credential's tenant. No other tenant is looked up, but by its host, which
        everybody may know; so nothing of one can leak."""
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

    def _select(self, call: Passage, sources: tuple[TenantSelector, ...]) -> Waiting:
        """Rule 2: the sources select the tenant. They may be missing where the policy requires none."""
        if not sources:
            self._without_source()
            return None
        found: list[TenantRecord | None] = []
        for source in sources:
            tenant = self._directory.peek(source.key) if source.key is not None else None
            if tenant is MISS:
                return self._find_and_agree(call, sources)
            found.append(tenant if isinstance(tenant, TenantRecord) else None)
        self._agree(call, sources, found)
        return None

    async def _find_and_agree(self, call: Passage, sources: tuple[TenantSelector, ...]) -> None:
        found = [await self._directory.find(source.key) if source.key is not None else None for source in sources]
        self._agree(call, sources, found)

    def _without_source(self) -> None:
        if self._required:
            raise _required()

    def _agree(self, call: Passage, sources: tuple[TenantSelector, ...], found: list[TenantRecord | None]) -> None:
        counting = [
            (source.name, tenant)
            for source, tenant in zip(sources, found, strict=True)
            if tenant is not None or not source.only_if_known
        ]
        if not counting:
            self._without_source()
            return
        first = counting[0][1]
        if any(tenant != first for _, tenant in counting):
            names = ", ".join(name for name, _ in counting)
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
            self._refuse_unless_served(call, tenant)
        if not self._directory.live:
            call.degraded = True
        call.tenant = tenant

    def _refuse_unless_served(self, call: Passage, tenant: TenantRecord | None) -> None:
        kind, deleted = call.caller.kind, tenant is not None and tenant.state is TenantState.DELETED
        by_operator, served = kind is CallerKind.OPERATOR, kind in self._policy.deleted_for
        if deleted and by_operator and not served:
            raise deleted_tenant()
        refuse_unless_active(tenant, serve_suspended=by_operator or self._policy.while_suspended, serve_deleted=served)


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
