"""The fields of a branding that are refused, each with its rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tenantmesh.interceptors.errors import InvalidArgument
from tenantmesh.tenant_svc.branding.branding import Branding, BrandingChange
from tenantmesh.tenant_svc.branding.colors import Colors
from tenantmesh.tenant_svc.branding.rules import check_branding, check_default

COLORS = Colors("#1d4ed8", "#ffffff", "#111827")
WHOLE = Branding(
    display_name="Acme",
    colors=COLORS,
    logo_uri="https://cdn.acme.example:8443/logo%20wide.svg?v=2",
    icon_uri="https://cdn/icon.png",
    support_email="help@acme.example",
    sender_email="no-reply@acme.example",
    support_uri="https://acme.example/help",
    terms_uri="https://acme.example/terms",
    privacy_uri="https://acme.example/privacy;v=1",
)


def change(branding: Branding, *paths: str) -> BrandingChange:
    return BrandingChange(branding, frozenset(paths), "")


def refused(branding: Branding, *paths: str) -> dict[str, str]:
    """The fields at fault, each with the rule that it breaks."""
    try:
        check_branding(change(branding, *paths), branding)
    except InvalidArgument as error:
        return {violation.field: violation.description for violation in error.violations}
    return {}


def test_a_whole_branding_and_an_empty_one_are_accepted() -> None:
    assert refused(WHOLE) == refused(Branding()) == {}


@pytest.mark.parametrize(
    "name", ["Ada's Café", "株式会社 Acme", "Яндекс", "ΑΒΓ Ελλάς", "می‌خواهم", "Acme 🚀", "❤️", "Яндекс.Taxi"]
)
def test_names_in_every_language_are_accepted(name: str) -> None:
    assert refused(Branding(name)) == {}


@pytest.mark.parametrize(
    "name",
    [
        "\u0410cme",  # begins with a Cyrillic letter
        "G\u03bf\u03bfgle",  # Greek omicrons
        "Acme\u202egnp",  # turns the order of what follows
        "Acme\u2066",
        "Ac\u200bme",
        "Acme\u00ad",
        "\u3164",
        "   ",
        "two\nlines",
        "Acme\x00",
        "Acme\u2028",
        "x" * 201,
        "x" * 10_000,
    ],
)
def test_names_that_deceive_are_refused(name: str) -> None:
    assert list(refused(Branding(name))) == ["branding.display_name"]


@pytest.mark.parametrize(
    "uri",
    [
        "http://acme.example/logo.png",
        "javascript:alert(1)",
        "JavaScript:alert(1)//https://acme.example",
        "data:image/svg+xml;base64,AAAA",
        "//acme.example/logo.png",
        "https:acme.example",
        "https://",
        "https:///logo.png",
        "https://user:secret@acme.example/logo.png",
        "https://acme.example@evil.example/",
        "https://acme.example\\@evil.example/",
        "https://acme.example/logo.png#part",
        "https://acme.example/lo go.png",
        "https://acme.example/logo.png\n",
        "https://acme.example/\x00",
        "https://acme.example/\u202elogo.png",
        "https://\u0430cme.example/",
        "https://-acme.example/",
        "https://acme..example/",
        "https://acme.example:/",
        "https://acme.example:0/",
        "https://acme.example:65536/",
        "https://acme.example:8O/",
        *("https://[::1]/", "https://[", "https://]/", "https://[::1", "https://acme]example/", "https://[acme/"),
        "https://acme.example/%zz",
        'https://acme.example/"><script>',
        " https://acme.example/",
        "https://acme.example/" + "x" * 2048,
        "https://acme.example/" + "x" * 10_000,
    ],
)
@pytest.mark.parametrize("field", ["logo_uri", "icon_uri", "support_uri", "terms_uri", "privacy_uri"])
def test_addresses_that_are_no_https_addresses_are_refused(field: str, uri: str) -> None:
    assert list(refused(Branding.from_json({field: uri}))) == [f"branding.{field}"]


@pytest.mark.parametrize(
    "email", ["acme", "a@b", "a b@acme.example", "Ann <ann@acme.example>", "a@acme.example\n", "x" * 300]
)
@pytest.mark.parametrize("field", ["support_email", "sender_email"])
def test_addresses_of_mail_have_the_form_of_accounts(field: str, email: str) -> None:
    assert list(refused(Branding.from_json({field: email}))) == [f"branding.{field}"]


def test_every_field_at_fault_is_named_at_once() -> None:
    found = refused(Branding("\u202e", Colors("red", "#ffffff", "#ffffff"), logo_uri="http://x"), "etag", "nothing")
    assert set(found) == {
        "update_mask", "branding.display_name", "branding.colors.primary", "branding.colors.text", "branding.logo_uri",
    }  # fmt: skip
    assert "it has 1.00" in found["branding.colors.text"]


def test_the_installation_has_a_name_and_colours() -> None:
    check_default(change(WHOLE), WHOLE)
    with pytest.raises(InvalidArgument) as caught:
        check_default(change(Branding()), Branding())
    assert {each.field for each in caught.value.violations} == {"branding.display_name", "branding.colors"}
    with pytest.raises(InvalidArgument) as caught:
        check_default(change(replace(WHOLE, display_name="\u202e")), replace(WHOLE, display_name="\u202e"))
    assert [each.field for each in caught.value.violations] == ["branding.display_name"]
