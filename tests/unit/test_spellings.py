"""What we issue has one spelling: no other text is taken for it, however near it is."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tenantmesh.auth_svc.api_keys.api_keys import SystemKeys
from tenantmesh.auth_svc.api_keys.system_key import KeyAudience
from tenantmesh.auth_svc.sessions.refresh_tokens import RefreshTokens
from tenantmesh.auth_svc.tokens.tokens import Introspection
from tenantmesh.chassis.event_log.cursor_text import Cursors, SnapshotCursor, StreamCursor
from tenantmesh.chassis.filters.places import place_tokens
from tenantmesh.chassis.pages import id_tokens, uuid_tokens
from tenantmesh.interceptors.credentials import UnknownKey
from tenantmesh.interceptors.errors import InvalidArgument, Unauthenticated
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.interceptors.testing import MemoryApiKeys, TestMesh, TokenSigner
from tenantmesh.runtime.encryption import KeyEncryptionKey
from tenantmesh.tenant_svc.setup_links.setup_link import LinkToken
from tests.spellings import MUTATIONS, mutations

TENANT, SESSION = TenantId(uuid.uuid4()), uuid.uuid4()
CURSORS = Cursors(b"tm.test", b"tm.tests")
NAMES, IDS = id_tokens(b"tm.names"), uuid_tokens(b"tm.ids", uuid.UUID(int=0))


def takes(read: Callable[[str], object], *refusals: type[Exception]) -> Callable[[str], Awaitable[bool]]:
    async def taken(text: str) -> bool:
        try:
            return read(text) is not None
        except refusals:
            return False

    return taken


class KeyTable:
    """The table of system keys, as its statements need it. As Doors too."""

    def __init__(self) -> None:
        self.rows: dict[uuid.UUID, dict[str, Any]] = {}

    @asynccontextmanager
    async def system(self, _reason: str, *, read_only: bool = False) -> AsyncIterator[Any]:
        yield self

    async def execute(self, _statement: object, **row: Any) -> None:
        self.rows[row["key_id"]] = row

    async def fetch_row(self, _statement: object, key_id: uuid.UUID) -> dict[str, Any] | None:
        return self.rows.get(key_id)


class EverySession:
    """As LiveSessions: all live."""

    async def is_live(self, tenant_id: TenantId, session_id: uuid.UUID) -> bool:
        return True


async def access_token() -> tuple[str, Callable[[str], Awaitable[bool]]]:
    signer = TokenSigner()
    token = signer.sign(signer.claims(TestMesh().add_tenant("acme").id))
    return token, takes(signer.verifier().verify, Unauthenticated, UnknownKey)


async def introspected_token() -> tuple[str, Callable[[str], Awaitable[bool]]]:
    signer = TokenSigner()
    payload = {**signer.claims(TestMesh().add_tenant("acme").id).payload(), "sid": str(SESSION)}
    introspection = Introspection(signer.verifier(), MemoryApiKeys(), EverySession())

    async def taken(text: str) -> bool:
        return await introspection.inspect(text) is not None

    return signer.sign(payload), taken


async def refresh_token() -> tuple[str, Callable[[str], Awaitable[bool]]]:
    tokens = RefreshTokens(KeyEncryptionKey(bytes(32)))
    return tokens.issue(TENANT, SESSION).text, takes(tokens.recognise)


async def api_key() -> tuple[str, Callable[[str], Awaitable[bool]]]:
    doors: Any = KeyTable()
    keys = SystemKeys(doors)

    async def taken(text: str) -> bool:
        return await keys.verify(text) is not None

    return await keys.create("notes", KeyAudience.SERVICE, ["tenants.read"]), taken


async def page_token_by_name() -> tuple[str, Callable[[str], Awaitable[bool]]]:
    return NAMES.token("api_requests"), takes(NAMES.open, InvalidArgument)


async def page_token_of_a_tenant() -> tuple[str, Callable[[str], Awaitable[bool]]]:
    tokens = IDS.of(str(TENANT))
    return tokens.token(SESSION), takes(tokens.open, InvalidArgument)


async def page_token_of_an_order() -> tuple[str, Callable[[str], Awaitable[bool]]]:
    tokens = place_tokens(b"tm.order", (str, uuid.UUID)).of("state = ACTIVE", "slug")
    return tokens.token(("acme", SESSION)), takes(tokens.open, InvalidArgument)


async def stream_cursor() -> tuple[str, Callable[[str], Awaitable[bool]]]:
    return CURSORS.text(StreamCursor(889)), takes(CURSORS.open, ValueError)


async def snapshot_cursor() -> tuple[str, Callable[[str], Awaitable[bool]]]:
    return CURSORS.text(SnapshotCursor(889, SESSION)), takes(CURSORS.open, ValueError)


async def setup_link_token() -> tuple[str, Callable[[str], Awaitable[bool]]]:
    token = LinkToken.new()

    async def taken(text: str) -> bool:
        found = LinkToken.parse(text)
        return found is not None and found.hash == token.hash

    return token.text, taken


KINDS = (
    access_token, introspected_token, refresh_token, api_key, page_token_by_name, page_token_of_a_tenant,
    page_token_of_an_order,
    stream_cursor, snapshot_cursor, setup_link_token,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_no_other_spelling_is_taken(kind: Callable[[], Awaitable[tuple[str, Any]]]) -> None:
    text, taken = await kind()
    assert await taken(text), "the control: the text itself is"
    tried = list(mutations(text))
    assert len(tried) > MUTATIONS
    assert [other for other in tried if await taken(other)] == []
