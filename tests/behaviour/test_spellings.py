"""A credential has one spelling at every door of the running mesh."""

from __future__ import annotations

import string

import pytest

from tests.fixtures.mesh import AUTH, TENANTS, Mesh, World
from tests.transports import Transport

TOKENS = "tenantmesh.auth.v1.TokenService"
_ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def other_bits(text: str) -> str:
    """The same bytes with other bits after the last one: 64 bytes leave four of them."""
    return text[:-1] + _ALPHABET[_ALPHABET.index(text[-1]) ^ 1]


def padded_header(text: str) -> str:
    header, _, rest = text.partition(".")
    return f"{header}=.{rest}"


SPELLINGS = {"padded": lambda text: f"{text}==", "other bits": other_bits, "padded header": padded_header}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_an_access_token_in_another_spelling_is_refused_everywhere(
    transport: Transport, mesh: Mesh, world: World, spelling: str
) -> None:
    user = await world.user(await world.tenant())
    again = SPELLINGS[spelling](user.token)
    served = [
        await transport.call(f"{AUTH}/GetMe", token=user.token),
        await transport.call(f"{AUTH}/GetMe", token=again),
        await transport.call(f"{TENANTS}/GetTenant", {"id": user.tenant.id}, token=again),
    ]
    assert [answer.reason for answer in served] == ["", "CREDENTIALS_INVALID", "CREDENTIALS_INVALID"]
    active = [
        (await transport.call(f"{TOKENS}/IntrospectToken", {"token": token}, token=mesh.operator_key)).body
        for token in (user.token, again)
    ]
    assert [body.get("active", False) for body in active] == [True, False]


async def test_a_refresh_token_in_another_spelling_neither_works_nor_counts_as_reuse(
    transport: Transport, world: World
) -> None:
    user = await world.user(await world.tenant())
    for again in (f"{user.refresh_token}=", user.refresh_token.upper(), f" {user.refresh_token}"):
        refused = await transport.call(f"{AUTH}/RefreshToken", {"refreshToken": again})
        assert refused.code != "OK", again
    assert (await transport.call(f"{AUTH}/RefreshToken", {"refreshToken": user.refresh_token})).code == "OK"


async def test_an_api_key_in_another_spelling_is_refused(transport: Transport, mesh: Mesh) -> None:
    key = mesh.operator_key
    for again in (f"{key}=", key.upper().replace("TMK_", "tmk_"), key.replace("tmk_", "TMK_"), f"{key}\t"[:-1] + "_"):
        refused = await transport.call(f"{TENANTS}/ListTenants", token=again)
        assert (refused.code, refused.reason) == ("UNAUTHENTICATED", "CREDENTIALS_INVALID"), again
