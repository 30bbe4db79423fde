"""The settings of access tokens, as the environment gives them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tenantmesh.auth_svc.settings import SigningSettings


def test_tokens_have_a_client_unless_it_is_left_out() -> None:
    kek = Path("kek")
    assert SigningSettings(kek_file=kek).client_id == "tenantmesh"
    assert SigningSettings(kek_file=kek, client_id="").client_id == ""


@pytest.mark.parametrize("client", ["ümlaut", "two\nlines", "two lines\n", "x" * 201])
def test_a_client_has_only_the_characters_of_oauth(client: str) -> None:
    with pytest.raises(ValidationError, match="client_id"):
        SigningSettings(kek_file=Path("kek"), client_id=client)
