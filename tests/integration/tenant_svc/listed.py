"""Lists of tenants, as operators ask for them."""

from __future__ import annotations

from tenantmesh.tenant_svc.tenants.query import TenantQuery
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.tenant_lists import TenantLists
from tenantmesh.tenant_svc.viewers import Viewer

OPERATOR = Viewer(notes=True, every_plan=True, deleted=True)


def query(filter_text: str = "", order_by: str = "", *, deleted: bool = False) -> TenantQuery:
    """The query of an operator; by default of every tenant that is not deleted, oldest first."""
    return TenantQuery.checked(filter_text=filter_text, order_by=order_by, show_deleted=deleted, viewer=OPERATOR)


async def everybody(lists: TenantLists) -> list[Tenant]:
    """All tenants, those of other tests too."""
    return [tenant for page in await all_pages(lists, query(), 1000) for tenant in page]


async def all_pages(lists: TenantLists, asked: TenantQuery, size: int) -> list[list[Tenant]]:
    """The pages of a query, each by the token of the one before."""
    pages: list[list[Tenant]] = []
    token = ""
    while not pages or token:
        page = await lists.page(asked, size, token)
        pages.append(page.items)
        token = page.next_token
    return pages
