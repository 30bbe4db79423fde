"""Changes of a branding by their masks, and what is shown where fields are empty."""

from __future__ import annotations

import uuid

import pytest

from tenantmesh.tenant_svc.branding.branding import INSTALLATION, Branding, BrandingChange, StoredBranding
from tenantmesh.tenant_svc.branding.colors import Colors

BEFORE = Branding(
    "Acme", Colors("#111111", "#ffffff", "#222222"), logo_uri="https://a.example/l", terms_uri="https://a/t"
)
DRAFT = Branding("New", Colors("#333333", "", ""), logo_uri="https://b.example/l")
DEFAULT = Branding("TenantMesh", Colors("#1d4ed8", "#ffffff", "#111827"), support_email="help@mesh.example")


def changed(*paths: str, draft: Branding = DRAFT) -> Branding:
    return BrandingChange(draft, frozenset(paths), "").of(BEFORE)


@pytest.mark.parametrize("paths", [(), ("*",), ("*", "logo_uri")])
def test_without_a_mask_everything_is_replaced(paths: tuple[str, ...]) -> None:
    assert changed(*paths) == DRAFT


def test_a_mask_changes_what_it_names() -> None:
    assert changed("logo_uri") == Branding("Acme", BEFORE.colors, "https://b.example/l", terms_uri="https://a/t")
    assert changed("terms_uri").terms_uri == ""
    assert changed("colors.primary").colors == Colors("#333333", "#ffffff", "#222222")
    assert changed("colors").colors == DRAFT.colors
    assert changed("colors", draft=Branding()).colors is None
    assert changed("colors", "colors.text").colors == DRAFT.colors
    assert changed("etag", "update_time") == BEFORE


def test_a_colour_can_be_set_where_there_was_none() -> None:
    after = BrandingChange(DRAFT, frozenset({"colors.primary"}), "").of(Branding())
    assert after.colors == Colors("#333333", "", "")
    assert BrandingChange(Branding(), frozenset({"colors.text"}), "").of(Branding()).colors == Colors("", "", "")


@pytest.mark.parametrize("path", ["id", "colors.", "colors.primary.x", "displayName", "tenant", "", "x" * 10_000])
def test_a_mask_names_fields_of_a_branding_only(path: str) -> None:
    assert BrandingChange(DRAFT, frozenset({path, "logo_uri"}), "").mask_problem
    assert BrandingChange(DRAFT, frozenset({"logo_uri", "colors.on_primary", "etag"}), "").mask_problem is None


def test_empty_fields_show_the_default() -> None:
    shown = Branding(logo_uri="https://a.example/l").over(DEFAULT)
    assert shown == Branding(
        "TenantMesh",
        Colors("#1d4ed8", "#ffffff", "#111827", "#ffffff"),
        logo_uri="https://a.example/l",
        support_email="help@mesh.example",
    )
    own = Branding("Acme", Colors("#ffff00", "#000000", "#ffffff", "#111111")).over(DEFAULT)
    assert own.colors == Colors("#ffff00", "#000000", "#ffffff", "#111111"), "colours are never mixed"


def test_json_and_back() -> None:
    for branding in (BEFORE, Branding(), DEFAULT):
        assert Branding.from_json(branding.to_json()) == branding
    assert Branding().to_json() == {}


def test_an_etag_is_of_one_version_of_one_owner() -> None:
    mine, theirs = uuid.uuid4(), uuid.uuid4()
    stored = [StoredBranding(owner, version=version) for owner in (mine, theirs, INSTALLATION) for version in (0, 1)]
    assert len({each.etag for each in stored}) == len(stored)
