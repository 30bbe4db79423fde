"""The calls whose time must not depend on how many tenants there are."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from tenantmesh.tenant.v1 import entitlement_service_pb2 as entitlements
from tenantmesh.tenant.v1 import entitlement_service_pb2_grpc, tenant_service_pb2_grpc
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tests.scale.product import Product
from tests.scale.rows import CELL, FORMER, HOST

__all__ = ["QUESTIONS", "Asker", "Question"]

KNOWN = 100
"""Tenants that the processes have met, in both products: so many are asked for again and again."""
PAGE = 50
TIMEOUT = 30

Ask = Callable[["Asker"], Awaitable[object]]


class Asker:
    """Asks one product, one call after the other. The same tenants come in each run."""

    def __init__(self, product: Product, opened: grpc.aio.Channel) -> None:
        self.product = product
        self.tenants: Any = tenant_service_pb2_grpc.TenantServiceStub(opened)
        self.entitlements: Any = entitlement_service_pb2_grpc.EntitlementServiceStub(opened)
        self._random = random.Random(7)
        step = max(1, product.size // KNOWN)
        self.known = [str(each) for each in product.many.ids[::step][:KNOWN]]
        self.middle = ""

    async def prepare(self) -> None:
        """Meet the known tenants, and find the page in the middle."""
        for tenant_id in self.known:
            await self.tenants.GetTenant(pb.GetTenantRequest(id=tenant_id), timeout=TIMEOUT)
        seen, token = 0, ""
        while seen < self.product.size // 2:
            request = pb.ListTenantsRequest(page_size=1000, page_token=token)
            page = await self.tenants.ListTenants(request, timeout=TIMEOUT)
            seen, token = seen + len(page.tenants), page.next_page_token or token
            if not page.next_page_token:
                break
        self.middle = token

    def any_id(self) -> str:
        """Return the id of any tenant."""
        return str(self._random.choice(self.product.many.ids))

    def any_slug(self) -> str:
        """Return the slug of any tenant."""
        return self._random.choice(self.product.many.slugs)

    def any_word(self) -> str:
        """Return a word that any tenant alone has."""
        return self.any_slug().rpartition("-")[2]

    def any_cell(self) -> int:
        """Return the number in the label of some tenants."""
        return self._random.randrange(self.product.size // CELL)

    def known_id(self) -> str:
        """Return the id of a tenant that the process has met."""
        return self._random.choice(self.known)

    async def times(self, question: Question, number: int) -> list[float]:
        """Return the milliseconds of so many calls."""
        found = []
        for _ in range(number):
            begun = time.perf_counter()
            await question.ask(self)
            found.append((time.perf_counter() - begun) * 1e3)
        return found


@dataclass(frozen=True)
class Question:
    """A call. Only those with a goal count: others are printed beside them, for what they say."""

    name: str
    ask: Ask
    goal: bool = True


def _resolve(asker: Asker, **selector: str) -> Awaitable[object]:
    answer: Awaitable[object] = asker.tenants.ResolveTenant(pb.ResolveTenantRequest(**selector), timeout=TIMEOUT)
    return answer


def _get(asker: Asker, tenant_id: str) -> Awaitable[object]:
    answer: Awaitable[object] = asker.tenants.GetTenant(pb.GetTenantRequest(id=tenant_id), timeout=TIMEOUT)
    return answer


def _list(asker: Asker, **fields: Any) -> Awaitable[object]:
    request = pb.ListTenantsRequest(page_size=PAGE, **fields)
    answer: Awaitable[object] = asker.tenants.ListTenants(request, timeout=TIMEOUT)
    return answer


def _entitlements(asker: Asker) -> Awaitable[object]:
    request = entitlements.GetEntitlementsRequest(id=asker.known_id())
    answer: Awaitable[object] = asker.entitlements.GetEntitlements(request, timeout=TIMEOUT)
    return answer


async def _none(asker: Asker) -> object:
    try:
        return await _resolve(asker, slug="nobody-has-this")
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise


QUESTIONS: Sequence[Question] = (
    Question("resolve by id", lambda asker: _resolve(asker, tenant_id=asker.any_id())),
    Question("resolve by slug", lambda asker: _resolve(asker, slug=asker.any_slug())),
    Question("resolve by a former slug", lambda asker: _resolve(asker, slug=asker.any_slug() + FORMER)),
    Question("resolve by host", lambda asker: _resolve(asker, host=asker.any_slug() + HOST)),
    Question("resolve a slug that nobody has", _none),
    Question("get, a tenant that the process knows", lambda asker: _get(asker, asker.known_id())),
    Question("get, any tenant", lambda asker: _get(asker, asker.any_id()), goal=False),
    Question("get entitlements", _entitlements),
    Question("list, first page", _list),
    Question("list, page in the middle", lambda asker: _list(asker, page_token=asker.middle)),
    Question("list, by label", lambda asker: _list(asker, filter=f'labels.cell = "c{asker.any_cell()}"')),
    Question("list, by state", lambda asker: _list(asker, filter="state = SUSPENDED")),
    Question("list, by plan", lambda asker: _list(asker, filter="plan_id = basic")),
    Question("list, by a word", lambda asker: _list(asker, filter=asker.any_word())),
    Question(
        "list, by a word that all tenants have, and another",
        lambda asker: _list(asker, filter=f"Tenant {asker.any_word()}"),
        goal=False,
    ),
    Question("list, by slug's beginning", lambda asker: _list(asker, filter='slug = "scale-0000*"')),
    Question("list, newest first", lambda asker: _list(asker, order_by="create_time desc")),
)
