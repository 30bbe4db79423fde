"""A program on the client that openapi-python-client makes. Run by test_generated.py, which reads its JSON.

The generated package stands beside it as `tenantmesh_client`.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
from typing import Any

import tenantmesh_client
from tenantmesh_client import AuthenticatedClient, Client
from tenantmesh_client.api.auth_service import auth_service_get_me as get_me
from tenantmesh_client.api.auth_service import auth_service_login as login
from tenantmesh_client.api.auth_service import auth_service_register as register
from tenantmesh_client.api.entitlement_service import entitlement_service_get_entitlements as get_entitlements
from tenantmesh_client.api.plan_service import plan_service_get_plan as get_plan
from tenantmesh_client.api.tenant_service import tenant_service_create_tenant as create_tenant
from tenantmesh_client.api.tenant_service import tenant_service_get_tenant as get_tenant
from tenantmesh_client.api.tenant_service import tenant_service_list_tenants as list_tenants
from tenantmesh_client.api.tenant_service import tenant_service_migrate_tenant_plan as migrate
from tenantmesh_client.api.tenant_service import tenant_service_watch_tenants as watch_tenants
from tenantmesh_client.models import (
    AuthServiceLoginBody,
    AuthServiceRegisterBody,
    TenantmeshTenantV1WatchTenantsResponse,
    TenantServiceCreateTenantBody,
    TenantServiceMigrateTenantPlanBody,
)
from tenantmesh_client.types import Unset

EDGE, SLUG, PASSWORD = os.environ["EDGE_URL"], os.environ["SLUG"], os.environ["PASSWORD"]
EMAIL = "ada@people.example"
METER = "api_requests"


def main() -> None:
    """Print what the calls answered."""
    for module in pkgutil.walk_packages(tenantmesh_client.__path__, "tenantmesh_client."):
        importlib.import_module(module.name)
    operator = AuthenticatedClient(EDGE, token=os.environ["OPERATOR_KEY"])
    created = create_tenant.sync(client=operator, body=TenantServiceCreateTenantBody(slug=SLUG))
    said = {
        "created": created.slug,
        "found": get_tenant.sync(SLUG, client=operator).id == created.id,
        "email": signed_in(),
        "pages": pages(operator),
        "limits": limits(operator),
        "operation": migration(operator),
        "missing": reason(get_tenant.sync_detailed("nobody-has-this", client=operator)),
        "violations": violations(operator),
        "watched": watched(operator),
    }
    json.dump(said, sys.stdout)


def signed_in() -> str:
    """The address of a user who registers, signs in and asks who they are."""
    anonymous = Client(EDGE)
    body = {"email": EMAIL, "password": PASSWORD}
    register.sync(client=anonymous, body=AuthServiceRegisterBody.from_dict(body), x_tenant_slug=SLUG)
    tokens = login.sync(client=anonymous, body=AuthServiceLoginBody.from_dict(body), tenant=SLUG)
    return str(get_me.sync(client=AuthenticatedClient(EDGE, token=tokens.access_token)).email)


def pages(operator: AuthenticatedClient) -> list[int]:
    """How many tenants two pages of one have, and how many differ."""
    first = list_tenants.sync(client=operator, page_size=1)
    second = list_tenants.sync(client=operator, page_size=1, page_token=first.next_page_token)
    found = [tenant.id for page in (first, second) for tenant in page.tenants]
    return [len(first.tenants), len(second.tenants), len(set(found))]


def limits(operator: AuthenticatedClient) -> list[str]:
    """The limit of a meter in the plan, and in the tenant's entitlements."""
    plan = get_plan.sync("basic", client=operator)
    entitled = get_entitlements.sync(SLUG, client=operator)
    values = [each.value for each in (*plan.features, *entitled.entitlements) if each.feature == METER]
    return [value.limit for value in values]


def migration(operator: AuthenticatedClient) -> list[Any]:
    """How a plan change ended that was only checked, and the type of its metadata."""
    body = TenantServiceMigrateTenantPlanBody(plan_id="premium", validate_only=True)
    operation = migrate.sync(SLUG, client=operator, body=body)
    return [operation.done, operation.metadata.type_]


def reason(response: Any) -> list[Any]:
    """The status and the reason of a refusal."""
    reasons = [detail.reason for detail in response.parsed.details if not isinstance(detail.reason, Unset)]
    return [response.status_code.value, *reasons]


def violations(operator: AuthenticatedClient) -> list[str]:
    """The fields that break a rule."""
    refused = create_tenant.sync_detailed(client=operator, body=TenantServiceCreateTenantBody(slug="NOT A SLUG"))
    listed = [detail.field_violations for detail in refused.parsed.details]
    return [violation.field for each in listed if not isinstance(each, Unset) for violation in each]


def watched(operator: AuthenticatedClient) -> str:
    """The slug in the first change of the tenant. The stream has no end, so it is read line by line."""
    request = watch_tenants._get_kwargs(snapshot=True)
    accept = {"accept": "application/x-ndjson"}
    with operator.get_httpx_client().stream(**request, headers=accept) as stream:
        for line in stream.iter_lines():
            result = TenantmeshTenantV1WatchTenantsResponse.from_dict(json.loads(line)).result
            if not isinstance(result, Unset) and result.tenant.slug == SLUG:
                return str(result.tenant.slug)
    return ""


if __name__ == "__main__":
    main()
