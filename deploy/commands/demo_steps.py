"""The calls of `tenantmesh demo` without a story: every method of tenants, their names and their looks, once each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from tenantmesh.deploy.commands.calls import Answer
from tenantmesh.tenant.v1 import (
    branding_service_pb2,
    email_domain_service_pb2,
    login_host_service_pb2,
    setup_link_service_pb2,
    tenant_service_pb2,
)

__all__ = ["STEPS"]

_HERE = {"id": "{slug}"}
_HOST, _DOMAIN = {**_HERE, "host": "app.{slug}.net"}, {**_HERE, "domain": "{slug}.net"}


@dataclass(frozen=True, slots=True)
class DemoStep:
    """One call, and what its answer must be.

    request: its texts may name what earlier answers gave, in braces. refusal: the reason of the refusal that is right.
    keep: the place of a value in the answer, which later requests name by its last part.
    """

    method: MethodDescriptor
    request: Mapping[str, Any]
    refusal: str = ""
    keep: tuple[str, ...] = ()

    def filled(self, known: Mapping[str, str]) -> dict[str, Any]:
        """Return the request with what is known."""
        return {name: _filled(value, known) for name, value in self.request.items()}

    def fulfilled(self, answer: Answer) -> bool:
        """Return whether the answer is as it should be."""
        return answer.reason == self.refusal if self.refusal else answer.status in {"200", "OK"}

    def kept(self, answer: Answer) -> dict[str, str]:
        """Return what later requests may name."""
        value: Any = answer.body
        for part in self.keep:
            value = value.get(part, "")
        return {self.keep[-1]: str(value)} if self.keep else {}


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return value.format_map(known)
    if isinstance(value, list):
        return [_filled(each, known) for each in value]
    return {name: _filled(each, known) for name, each in value.items()} if isinstance(value, dict) else value


def _steps(of: FileDescriptor, steps: Mapping[str, Mapping[str, Any]]) -> list[DemoStep]:
    """Return a step for each of these methods of the file's service: its request, or the fields of the step."""
    (service,) = of.services_by_name.values()
    return [
        DemoStep(service.methods_by_name[name], **(step if "request" in step else {"request": step}))
        for name, step in steps.items()
    ]


STEPS: tuple[DemoStep, ...] = (
    *_steps(
        tenant_service_pb2.DESCRIPTOR,
        {
            "CreateTenant": {"slug": "{slug}"},
            "ResolveTenant": {"slug": "{slug}"},
            "ListTenants": {"filter": 'slug = "{slug}"'},
            "SuspendTenant": {**_HERE, "reason": "a demonstration"},
            "ResumeTenant": _HERE,
            "MigrateTenantPlan": {**_HERE, "planId": "premium", "validateOnly": True},
        },
    ),
    *_steps(
        login_host_service_pb2.DESCRIPTOR,
        {
            "CreateLoginHost": _HOST,
            "BatchCreateLoginHosts": {**_HERE, "hosts": ["one.{slug}.net", "two.{slug}.net"]},
            "GetLoginHost": _HOST,
            "ListLoginHosts": _HERE,
            "VerifyLoginHost": _HOST,
            "MakePrimaryLoginHost": {"request": _HOST, "refusal": "LOGIN_HOST_NOT_VERIFIED"},
            "DeleteLoginHost": _HOST,
        },
    ),
    *_steps(
        email_domain_service_pb2.DESCRIPTOR,
        {
            "CreateEmailDomain": _DOMAIN,
            "BatchCreateEmailDomains": {**_HERE, "domains": ["one-{slug}.net", "two-{slug}.net"]},
            "GetEmailDomain": _DOMAIN,
            "ListEmailDomains": _HERE,
            "VerifyEmailDomain": _DOMAIN,
            "DeleteEmailDomain": _DOMAIN,
        },
    ),
    *_steps(
        branding_service_pb2.DESCRIPTOR,
        {
            "GetTenantBranding": _HERE,
            "GetDefaultBranding": {"request": {}, "keep": ("displayName",)},
            "UpdateDefaultBranding": {"branding": {"displayName": "{displayName}"}, "updateMask": "displayName"},
        },
    ),
    *_steps(
        setup_link_service_pb2.DESCRIPTOR,
        {
            "CreateSetupLink": {
                "request": {**_HERE, "intent": "SETUP_INTENT_EMAIL_DOMAIN"},
                "keep": ("setupLink", "setupLinkId"),
            },
            "ListSetupLinks": _HERE,
            "RevokeSetupLink": {**_HERE, "setup_link_id": "{setupLinkId}"},
        },
    ),
)
"""The calls, in their order."""
