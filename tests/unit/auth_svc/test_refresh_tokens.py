"""The refresh token as a string."""

from __future__ import annotations

import uuid

import pytest

from tenantmesh.auth_svc.sessions.refresh_tokens import RefreshToken, RefreshTokens
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.encryption import KeyEncryptionKey, SealBroken

TOKENS = RefreshTokens(KeyEncryptionKey(bytes(32)))
TENANT, SESSION = TenantId(uuid.uuid4()), uuid.uuid4()


def test_a_token_is_recognised_by_its_maker_only() -> None:
    token = TOKENS.issue(TENANT, SESSION)
    assert TOKENS.recognise(token.text) == token
    assert RefreshTokens(KeyEncryptionKey(bytes(range(32)))).recognise(token.text) is None


def test_two_tokens_of_a_session_differ() -> None:
    assert TOKENS.issue(TENANT, SESSION).digest != TOKENS.issue(TENANT, SESSION).digest


def test_every_changed_character_is_noticed() -> None:
    text = TOKENS.issue(TENANT, SESSION).text
    for index, character in enumerate(text):
        for other in ("0", "1", "A", "_", "."):
            if other != character:
                assert TOKENS.recognise(text[:index] + other + text[index + 1 :]) is None


@pytest.mark.parametrize("length", range(0, 130, 7))
def test_a_cut_or_extended_token_is_noticed(length: int) -> None:
    text = TOKENS.issue(TENANT, SESSION).text
    assert TOKENS.recognise(text[:length]) is None
    assert TOKENS.recognise(text + "A" * (length + 1)) is None


def test_a_secret_of_one_session_is_nothing_in_another() -> None:
    mine, other = TOKENS.issue(TENANT, SESSION), TOKENS.issue(TENANT, uuid.uuid4())
    head, secret = other.text.rpartition(".")[0], mine.text.rpartition(".")[2]
    assert TOKENS.recognise(f"{head}.{secret}") is None


@pytest.mark.parametrize("text", ["", "tmr_", "tmk_x", "..", "tmr_é", "tmr_" + "0" * 32 + "." + "0" * 32 + ".", "\n"])
def test_nonsense_is_not_recognised(text: str) -> None:
    assert TOKENS.recognise(text) is None


def test_a_printed_token_does_not_show_its_secret() -> None:
    token = TOKENS.issue(TENANT, SESSION)
    assert token.text.rpartition(".")[2] not in repr(token)
    assert isinstance(token, RefreshToken)


def test_a_sealed_token_opens_for_its_own_session_only() -> None:
    token, spent = TOKENS.issue(TENANT, SESSION), TOKENS.issue(TENANT, SESSION)
    sealed = TOKENS.seal(token)
    assert token.text.encode() not in sealed
    assert TOKENS.unseal(sealed, spent) == token.text
    for other in (TOKENS.issue(TENANT, uuid.uuid4()), TOKENS.issue(TenantId(uuid.uuid4()), SESSION)):
        with pytest.raises(SealBroken):
            TOKENS.unseal(sealed, other)
