"""Pages of plans: their tokens, and reading no more versions than a page can hold."""

from __future__ import annotations

from tenantmesh.chassis.pages import PAGE_BYTES, Page, PageTokens, id_in
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.plans import repository
from tenantmesh.tenant_svc.plans.plan import PlanVersion

__all__ = ["PLAN_TOKENS", "read_page"]

_STEP = 51
"""The versions that are read at once: a default page and one more. A thousand large ones would fill the memory."""
_VERSION_BYTES = 4
_LAST_VERSION = 2**31 - 1


def _place_in(payload: bytes) -> tuple[str, int]:
    version = int.from_bytes(payload[:_VERSION_BYTES])
    if version > _LAST_VERSION:
        raise ValueError("no version of a plan")
    return id_in(payload[_VERSION_BYTES:]), version


PLAN_TOKENS: PageTokens[tuple[str, int]] = PageTokens(
    b"tm.plans", ("", 0), lambda place: place[1].to_bytes(_VERSION_BYTES) + place[0].encode(), _place_in
)


async def read_page(
    connection: Connection,
    tokens: PageTokens[tuple[str, int]],
    size: int,
    after: tuple[str, int],
    *,
    all_versions: bool,
    plan_id: str,
) -> Page[PlanVersion]:
    """Return a page of the versions after that plan and version: all of them, or the newest published ones. `plan_id`,
    if set, selects one plan."""
    found: list[PlanVersion] = []
    while len(found) <= size and sum(plan.bulk for plan in found) <= PAGE_BYTES:
        step = min(size + 1 - len(found), _STEP)
        if all_versions:
            read = await repository.page(connection, after, step, plan_id)
        else:
            read = await repository.published_page(connection, after[0], step, plan_id)
        found += read
        if len(read) < step:
            return tokens.page(found, size, _place_of)
        after = _place_of(read[-1])
    return tokens.page(found, min(size, len(found) - 1), _place_of)


def _place_of(plan: PlanVersion) -> tuple[str, int]:
    return plan.id, plan.version
