"""The settings of the mesh: one spelling for the domain below which tenants have their hosts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tenantmesh.chassis.settings import MeshSettings

KEY = "tmk_a-key"


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("", ""),
        ("mesh.example.com", "mesh.example.com"),
        ("Mesh.Example.COM.", "mesh.example.com"),
        (".mesh.example.com", "mesh.example.com"),
        ("localhost", "localhost"),
    ],
)
def test_a_base_domain_has_one_spelling(text: str, domain: str) -> None:
    assert MeshSettings.model_validate({"credential": KEY, "base_domain": text}).base_domain == domain


@pytest.mark.parametrize(
    "text",
    ["*.example.com", "example.com:8080", "https://example.com", "b\u00fccher.de", "example..com", "-a.com", "a b"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="write a domain in its ASCII form"):
        MeshSettings.model_validate({"credential": KEY, "base_domain": text})
