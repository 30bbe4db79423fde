"""Refuses a method to callers of another kind, or without its permission."""

from __future__ import annotations

from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.errors import PermissionDenied
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.passage import Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy
from tenantmesh.interceptors.roles import Roles, permits

__all__ = ["Authorization"]

_USER = CallerKind.USER
_IN_WORDS = {
    CallerKind.ANONYMOUS: "an anonymous caller",
    CallerKind.USER: "a user",
    CallerKind.SERVICE: "a service",
    CallerKind.OPERATOR: "an operator",
}


class Authorization:
    """Compares the caller with the policy's audiences and permission."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles

    def bind(self, policy: MethodPolicy) -> Moments | None:
        """As `Link.bind`. Left out where every caller is served."""
        if policy.public and not policy.permission:
            return None
        return Moments(enter=_BoundAuthorization(self._roles, policy).enter)


class _BoundAuthorization:
    def __init__(self, roles: Roles, policy: MethodPolicy) -> None:
        self._audiences = policy.audiences
        # Compared by identity: hashing an enum member is a Python call.
        self._kinds = tuple(policy.audiences)
        self._allowed = ", ".join(sorted(f"{audience.value.lower()}s" for audience in policy.audiences))
        self._public = policy.public
        self._permission = policy.permission
        # The roles that permit this method, worked out once: a call compares names.
        granting = {name for name, permitted in roles.items() if permits(permitted, policy.permission)}
        self._granting = frozenset(granting)

    def enter(self, call: Passage) -> Waiting:
        caller = call.caller
        if not self._public and caller.kind not in self._kinds:
            raise PermissionDenied(
                "AUDIENCE_NOT_ALLOWED",
                f"This method cannot be called by {_IN_WORDS[caller.kind]}. Allowed: {self._allowed}.",
                metadata={"audiences": ",".join(sorted(audience.value for audience in self._audiences))},
            )
        if self._permission and (
            self._granting.isdisjoint(caller.roles)
            if caller.kind is _USER
            else not permits(caller.permissions, self._permission)
        ):
            raise PermissionDenied(
                "PERMISSION_MISSING",
                f"The credential lacks the permission {self._permission}. Ask an administrator for a role that has it.",
                metadata={"permission": self._permission},
            )
        return None
