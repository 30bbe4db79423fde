"""E-mail addresses."""

from __future__ import annotations

import pytest

from tenantmesh.chassis.emails import EmailRefused, parse_email


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("Alice@Example.COM", "alice@example.com"),
        ("alice\uff20example.com", "alice@example.com"),
        ("ﬁn@example.com", "fin@example.com"),
        ("alice@BÜCHER.de", "alice@xn--bcher-kva.de"),
        ("alice@xn--bcher-kva.de", "alice@xn--bcher-kva.de"),
        ("Ünï@example.com", "ünï@example.com"),
        ("first.last+tag_1@sub.example.co", "first.last+tag_1@sub.example.co"),
        ("o'neil@example.com", "o'neil@example.com"),
        ("alice@例え.テスト", "alice@xn--r8jz45g.xn--zckzah"),
        ("alice@xn--strae-oqa.de", "alice@xn--strae-oqa.de"),
    ],
)
def test_addresses_that_reach_the_same_person_are_the_same(written: str, normalised: str) -> None:
    email = parse_email(written)
    assert (email.written, email.normalised) == (written, normalised)
    assert parse_email(email.normalised).normalised == normalised


@pytest.mark.parametrize(
    "text",
    [
        "", "alice", "@example.com", "alice@", "alice@localhost", "a@b@example.com", "a b@example.com",
        "alice@example..com", ".alice@example.com", "alice.@example.com", "a..b@example.com", "alice@-example.com",
        "alice@example-.com", "alice@192.0.2.1", "alice@[192.0.2.1]", "alice@example.com\n", "a\r\nb@example.com",
        "alice\0@example.com", "<alice@example.com>", "alice@example.com,bob@example.com", '"alice"@example.com',
        "alice@example.com.", " alice@example.com", "alice@exa mple.com", "\u202ealice@example.com",
        "x" * 65 + "@example.com", "alice@" + "x" * 64 + ".com", "a@" + "x." * 130 + "com", "alice@example.com" * 20,
        "alice@stra\u00dfe.de", "alice@exam_ple.com", "alice@\u2024com",
    ],
)  # fmt: skip
def test_what_is_no_single_deliverable_address_is_refused(text: str) -> None:
    with pytest.raises(EmailRefused):
        parse_email(text)


@pytest.mark.parametrize(
    "domain",
    [
        "stra\u00dfe.de",  # xn--strae-oqa.de, or strasse.de
        "\u03c2\u03af\u03b3\u03bc\u03b1.gr",
        "\u13a0\u13a1.com",  # letters that got lower case after IDNA 2003
        "\u0928\u0940\u200c.com",
        "\u2603.net",  # a sign, which IDNA 2008 forbids
    ],
)
def test_a_domain_that_two_standards_read_differently_must_be_in_ascii_form(domain: str) -> None:
    with pytest.raises(EmailRefused, match="ASCII form"):
        parse_email(f"alice@{domain}")


@pytest.mark.parametrize(
    "text",
    [
        "a@example.c\u200bom", "a@exam\u00adple.com", "a@example.com\ufeff", "\u2060a@example.com",
        "a\ufe0f@example.com", "a\u034f@example.com", "a\u3164@example.com", "a@exam\u3164ple.com",
        "a@b\u00fccher\u200b.de",
    ],
)  # fmt: skip
def test_a_character_that_shows_nothing_is_refused(text: str) -> None:
    """Two addresses that look alike would be two accounts, or one address would be kept as nobody wrote it."""
    with pytest.raises(EmailRefused, match="invisible"):
        parse_email(text)


def test_a_refusal_does_not_repeat_the_text() -> None:
    with pytest.raises(EmailRefused) as refused:
        parse_email("nonsense@@x")
    assert "nonsense" not in str(refused.value)
