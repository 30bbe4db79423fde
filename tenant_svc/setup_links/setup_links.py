"""The use cases of set-up links: create, list, revoke, look up, redeem. They open the doors."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.pages import Page, page_size, uuid_tokens
from tenantmesh.chassis.requests import refuse, text_problem
from tenantmesh.interceptors.errors import FailedPrecondition, NotFound
from tenantmesh.interceptors.roles import permits
from tenantmesh.interceptors.tenants import TenantId, TenantState, no_such_tenant, parse_uuid
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.setup_links import repository
from tenantmesh.tenant_svc.setup_links.makers import LinkMaker, LinkMakers
from tenantmesh.tenant_svc.setup_links.setup_link import LinkState, LinkToken, NewSetupLink, SetupLink
from tenantmesh.tenant_svc.setup_links.steps import SetupSteps, StepResult
from tenantmesh.tenant_svc.tenants.repository import get_locked as tenant_locked

__all__ = ["SetupLinks"]

MAKING = "setup_links.create"
"""The permission to make links, as the contract's policy has it."""
MOST_OPEN = 100
"""Open links of a tenant at a time."""
MOST_KEPT = 1_000
"""Links of a tenant that are kept, open ones included."""
_LONGEST_NAME = 500
"""Of what a step may be given; it has a narrower rule of its own."""
_TOKENS = uuid_tokens(b"tm.links", uuid.UUID(int=2**128 - 1))


class SetupLinks:
    """The use cases. All raise Unavailable when the database can't be reached."""

    def __init__(
        self, doors: Doors, steps: SetupSteps, makers: LinkMakers, new_id: Callable[[], uuid.UUID] = uuid7
    ) -> None:
        self._doors = doors
        self._steps = steps
        self._makers = makers
        self._new_id = new_id

    async def create(self, tenant_id: TenantId, new: NewSetupLink, maker: LinkMaker) -> tuple[SetupLink, LinkToken]:
        """Make a link. Return it with its token, which can't be read again.

        Raises NotFound `TENANT_NOT_FOUND`, FailedPrecondition `TOO_MANY_SETUP_LINKS`.
        """
        token = LinkToken.new()
        async with self._doors.tenant(tenant_id) as connection:
            if await tenant_locked(connection, tenant_id) is None:  # so that creations take turns
                raise no_such_tenant()
            if await repository.number_open(connection, tenant_id) >= MOST_OPEN:
                raise _too_many()
            await repository.forget_ended(connection, tenant_id, MOST_KEPT - 1)
            link = await repository.create(connection, tenant_id, self._new_id(), new, token, maker)
        return link, token

    async def page(self, tenant_id: TenantId, size: int, token: str) -> Page[SetupLink]:
        """Return a page of the tenant's links, newest first, from the token's position. Raises InvalidArgument for
        another list's token."""
        tokens = _TOKENS.of(str(tenant_id))
        size, before = page_size(size), tokens.open(token)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await repository.page(connection, tenant_id, before, size + 1)
        return tokens.page(found, size, lambda link: link.id)

    async def revoke(self, tenant_id: TenantId, link_id: str) -> SetupLink:
        """Make an open link useless, and return it. Another one stays as it is. Raises NotFound
        `SETUP_LINK_NOT_FOUND`."""
        parsed = parse_uuid(link_id)
        if parsed is None:
            raise _not_found()
        async with self._doors.tenant(tenant_id) as connection:
            link = await repository.get_locked(connection, tenant_id, parsed)
            if link is None:
                raise _not_found()
            return await repository.revoke(connection, link) if link.state is LinkState.OPEN else link

    async def look_up(self, token: str) -> tuple[SetupLink, str]:
        """Return the open link of the token, with the name of its tenant.

        Raises NotFound `SETUP_LINK_INVALID`, also for one whose maker may no longer do its step, and Unavailable while
        nobody knows what the maker may.
        """
        refuse({"token": None if token else "is required"})
        parsed = LinkToken.parse(token)
        if parsed is None:
            raise _invalid()
        async with self._doors.system("find the tenant of a set-up link", read_only=True) as connection:
            found = await repository.find(connection, parsed)
        if found is None or not await self._counts(found[0]):
            raise _invalid()
        return found

    async def _counts(self, link: SetupLink) -> bool:
        """Return whether its maker still may make it, and do its step. A link of a user ends with the user's token."""
        if link.key_id is None:
            return True
        granted = await self._makers.permissions(link.key_id)
        return all(permits(granted, needed) for needed in (MAKING, self._steps[link.intent].permission))

    async def redeem(self, token: str, name: str) -> tuple[SetupLink, StepResult]:
        """Do the step of the link, and mark the link as used in the same transaction.

        A step that is refused leaves the link open. Raises InvalidArgument, NotFound `SETUP_LINK_INVALID`, and the
        refusals of the step.
        """
        problem = text_problem(name, _LONGEST_NAME) if name else "is required"
        refuse({"token": None if token else "is required", "name": problem})
        found, _ = await self.look_up(token)
        async with self._doors.tenant(found.tenant_id) as connection:
            tenant = await tenant_locked(connection, found.tenant_id)
            link = await repository.get_locked(connection, found.tenant_id, found.id)
            served = tenant is not None and tenant.state is TenantState.ACTIVE
            if not served or link is None or link.state is not LinkState.OPEN:
                raise _invalid()
            result = await self._steps[link.intent].run(connection, link.tenant_id, name, link.acting)
            await repository.mark_used(connection, link, result.name)
        return link, result


def _invalid() -> NotFound:
    """Return the one refusal of links that can't be used, whatever the reason."""
    return NotFound(
        "SETUP_LINK_INVALID",
        "The link is unknown, or was used, revoked or has expired. Ask its sender for a new one.",
    )


def _not_found() -> NotFound:
    """Return the refusal of a link that is missing or another tenant's."""
    return NotFound("SETUP_LINK_NOT_FOUND", "The tenant has no such set-up link. List its links.")


def _too_many() -> FailedPrecondition:
    return FailedPrecondition(
        "TOO_MANY_SETUP_LINKS",
        f"The tenant has {MOST_OPEN} open set-up links, as many as it may. Revoke some, or wait until they expire.",
        metadata={"limit": str(MOST_OPEN)},
    )
