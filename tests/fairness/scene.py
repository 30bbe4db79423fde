"""A running product with two tenants: a loud one, whose user the attackers have, and a healthy one."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tenantmesh.deploy.stack.stack import Stack
from tests.fairness.http2 import Connection
from tests.ports import stack_ports

__all__ = ["JSON", "LOUD", "PASSWORD", "QUIET", "Scene", "running", "sign_in"]

LOUD, QUIET = "loud", "quiet"
PASSWORD = "a long walk over warm stones"
EDGE_LIMITS = ("address_groups=8",)
"""As `tenantmesh edge render` has it. A developer's edge has one group, since its callers have one address."""
OPERATOR_ADDRESS = "127.0.3.1"
LOUD_USER = "mallory@people.example", "127.0.3.2"
"""E-mail address, and the network address of the sign-in."""
READER = "reader@people.example", "127.0.3.3"
PEOPLE = 60
"""Accounts of the healthy tenant that sign in, each at an address of its own: an account has 20 attempts at once."""
JSON = {"content-type": "application/json"}


@dataclass
class Scene:
    """What attackers and the healthy client need to know; travels to their processes as JSON."""

    edge: tuple[str, int]
    tenant_svc: tuple[str, int]
    loud_token: str = ""
    quiet_token: str = ""
    people: list[tuple[str, str]] = field(default_factory=list)
    """The healthy tenant's accounts: e-mail address, and the network address that it signs in from."""

    @classmethod
    def decoded(cls, text: str) -> Scene:
        """Read what `encoded` wrote."""
        return cls(**json.loads(text))

    @property
    def encoded(self) -> str:
        """One line of JSON."""
        return json.dumps(self.__dict__)


@contextmanager
def running(edge_limits: Sequence[str] = ()) -> Iterator[tuple[Scene, Stack]]:
    """Start the product with its default limits, but for these of the edge, and prepare both tenants."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(
            Path(folder) / "state",
            ports=stack_ports(),
            durable=False,
            temporary=True,
            edge_limits=(*EDGE_LIMITS, *edge_limits),
        ) as stack,
    ):
        yield asyncio.run(prepared(stack)), stack


async def prepared(stack: Stack) -> Scene:
    """Create the tenants and their people, and sign them in."""
    edge, (host, _, port) = urlsplit(stack.edge_url), stack.addresses["tenant_svc"].rpartition(":")
    scene = Scene((edge.hostname or "", edge.port or 0), (host, int(port)))
    operator = {"authorization": f"Bearer {(stack.places.state / 'operator.key').read_text().strip()}"}
    for slug, plan in ((LOUD, "basic"), (QUIET, "enterprise")):
        await _post(scene, "/api/v1/tenants/create", {"slug": slug, "planId": plan}, operator)
    scene.people = [(f"person-{number}@people.example", f"127.0.2.{number + 1}") for number in range(PEOPLE)]
    for tenant, (email, address) in [(LOUD, LOUD_USER), (QUIET, READER), *((QUIET, person) for person in scene.people)]:
        account = {"email": email, "password": PASSWORD}
        await _post(scene, f"/api/v1/auth/register?tenant={tenant}", account, {}, address)
    await sign_in(scene)
    return scene


async def sign_in(scene: Scene) -> None:
    """Give the scene fresh access tokens; one lives for five minutes."""
    scene.loud_token = await _token(scene, LOUD, *LOUD_USER)
    scene.quiet_token = await _token(scene, QUIET, *READER)


async def _token(scene: Scene, tenant: str, email: str, address: str) -> str:
    account = {"email": email, "password": PASSWORD}
    answer = await _post(scene, f"/api/v1/auth/login?tenant={tenant}", account, {}, address)
    return str(answer["accessToken"])


async def _post(
    scene: Scene, path: str, body: dict[str, Any], headers: dict[str, str], address: str = OPERATOR_ADDRESS
) -> Any:
    connection = await Connection(*scene.edge, address).open()
    reply = await connection.ask(path, JSON | headers, json.dumps(body).encode())
    connection.close()
    if reply.outcome != "OK":
        raise RuntimeError(f"{path}: {reply.outcome}")
    return reply.decoded
