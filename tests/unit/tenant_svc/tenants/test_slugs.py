"""What a tenant may be called."""

from __future__ import annotations

import uuid

import pytest

from tenantmesh.tenant_svc.tenants.slugs import RESERVED, slug_problem


@pytest.mark.parametrize("slug", ["acme", "abc", "a1b", "a-b-c", "x" * 40, "acme-2", "z9-9z"])
def test_a_good_slug_has_no_problem(slug: str) -> None:
    assert slug_problem(slug) is None


@pytest.mark.parametrize(
    "slug",
    ["", "a", "ab", "x" * 41, "Acme", "1acme", "-acme", "acme-", "ac--me", "ac_me", "ac.me", "acmé", "acme/x", "асме"],
)
def test_what_breaks_the_form_is_refused(slug: str) -> None:
    assert "3 to 40" in (slug_problem(slug) or "")


@pytest.mark.parametrize("slug", ["create", "resolve", "watch", "www", "api", "admin", "tenants", "localhost"])
def test_reserved_words_are_refused(slug: str) -> None:
    assert "reserved" in (slug_problem(slug) or "")


def test_every_reserved_word_would_otherwise_be_a_slug() -> None:
    assert {word for word in RESERVED if "3 to 40" in (slug_problem(word) or "")} == set()
    assert len(RESERVED) > 100


@pytest.mark.parametrize("slug", ["ac me", " acme", "acme\n", "acme\x00", "a\u200bcme", "acme٣", "xn--nxasmq6b"])
def test_invisible_and_foreign_characters_are_refused(slug: str) -> None:
    assert "3 to 40" in (slug_problem(slug) or "")


def test_a_slug_can_not_look_like_an_id() -> None:
    assert "id" in (slug_problem(str(uuid.UUID("abcdef01-0000-7000-8000-000000000001"))) or "")
