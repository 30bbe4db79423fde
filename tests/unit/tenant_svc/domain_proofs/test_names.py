"""The names that a tenant may have: one spelling each, and what is refused with which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantmesh.tenant_svc.domain_proofs.names import LONGEST_NAME, NameRules, RefusedName, normal_form, unicode_form
from tenantmesh.tenant_svc.domain_proofs.providers import provider_problem

RULES = NameRules(base_domain="Mesh.Acme-Hosting.com.", label="_tenantmesh")
LONG = ".".join(["a" * 60] * 4)  # 243 characters


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("app.acme.com", "app.acme.com"),
        ("APP.Acme.COM", "app.acme.com"),
        ("app.acme.com.", "app.acme.com"),
        ("app\u3002acme\uff0ecom", "app.acme.com"),  # the full stops of other scripts
        ("\uff41\uff50\uff50.acme.com", "app.acme.com"),  # full-width letters
        ("bücher.de", "xn--bcher-kva.de"),
        ("BÜCHER.de", "xn--bcher-kva.de"),
        ("bu\u0308cher.de", "xn--bcher-kva.de"),  # composed of two characters
        ("xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("XN--BCHER-KVA.DE", "xn--bcher-kva.de"),
        ("acme.com\uff61", "acme.com"),  # the final dot of another script
        ("क्\u200dष.com", "xn--11b2ezcw70k.com"),  # a joiner that the script needs
        ("city.kawasaki.jp", "city.kawasaki.jp"),  # an exception of a wildcard of the list
        ("127.0.0.1.nip.io", "127.0.0.1.nip.io"),  # a name; its address is judged when it is connected to
        ("straße.de", "xn--strae-oqa.de"),  # by IDNA 2008 not the same as strasse.de
        ("مثال.com", "xn--mgbh0fb.com"),
        ("tenant.github.io", "tenant.github.io"),  # a name below a public suffix
        ("a.co.uk", "a.co.uk"),
        ("app\u00ad.acme.com", "app.acme.com"),  # a soft hyphen shows nothing
    ],
)
def test_a_name_has_one_spelling(text: str, name: str) -> None:
    assert RULES.checked(text) == name
    assert RULES.checked(name) == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is required"),
        (" ", "is required"),
        ("acme", "at least two labels"),
        ("localhost", "at least two labels"),
        ("com", "at least two labels"),
        ("co.uk", "is a public suffix"),
        ("github.io", "is a public suffix"),
        ("GitHub.IO.", "is a public suffix"),
        ("herokuapp.com", "is a public suffix"),
        ("公司.cn", "is a public suffix"),
        ("xn--55qx5d.cn", "is a public suffix"),
        ("anything.kawasaki.jp", "is a public suffix"),
        ("127.0.0.1", "no IP address"),
        ("[::1]", "no IP address"),
        ("2001:db8::1", "no IP address"),
        ("1.2.3.4.", "no IP address"),
        ("0x7f.1", "no IP address"),
        ("127.1", "no IP address"),
        ("0177.0.0.01", "no IP address"),
        ("2130706433", "at least two labels"),
        ("0x7f000001", "at least two labels"),
        ("①②⑦.⓪.⓪.①", "no IP address"),
        ("127\u30020\u30020\u30021", "no IP address"),
        ("::ffff:127.0.0.1", "no IP address"),
        ("acme.0x7f", "no IP address"),
        ("https://app.acme.com", "the name alone"),
        ("app.acme.com/login", "the name alone"),
        ("ada@acme.com", "the name alone"),
        ("app.acme.com:443", "must have no port"),
        ("*.acme.com", "no wildcards"),
        ("app_1.acme.com", "IDNA 2008"),
        ("-app.acme.com", "IDNA 2008"),
        ("app..acme.com", "IDNA 2008"),
        ("app.acme.com..", "IDNA 2008"),
        ("app acme.com", "IDNA 2008"),
        ("app\n.acme.com", "IDNA 2008"),
        ("app\u202e.acme.com", "IDNA 2008"),  # a control that turns the direction
        ("app\u2066.acme.com", "IDNA 2008"),
        ("\u200dacme.com", "IDNA 2008"),  # a joiner that joins nothing
        ("אacme.com", "IDNA 2008"),  # both directions in one label
        ("☃.com", "IDNA 2008"),
        ("xn--a.com", "IDNA 2008"),  # no label has this ASCII form
        ("xn--acme-.com", "IDNA 2008"),
        ("xn--.com", "IDNA 2008"),
        ("xn--bcher-kva\u0308.de", "IDNA 2008"),
        ("ac--me.com", "IDNA 2008"),
        ("\u0301acme.com", "IDNA 2008"),  # it begins with a mark
        ("l\u00b7l\u200c.com", "IDNA 2008"),
        (f"{'a' * 64}.com", "IDNA 2008"),
        (LONG, "at most"),
        ("x" * 10_000, "at most"),
        ("acme.local", "reserved for special use"),
        ("acme.internal", "reserved for special use"),
        ("acme.test", "reserved for special use"),
        ("acme.localhost", "reserved for special use"),
        ("www.example.com", "reserved for special use"),
        ("1.0.0.127.in-addr.arpa", "reserved for special use"),
        ("hidden.onion", "reserved for special use"),
        ("mesh.acme-hosting.com", "name of this installation"),
        ("globex.mesh.acme-hosting.com", "name of this installation"),
        ("MESH.acme-hosting.com.", "name of this installation"),
    ],
)
def test_other_names_are_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(RefusedName, match=words):
        RULES.checked(text)


def test_look_alikes_are_different_names_and_are_shown_as_such() -> None:
    cyrillic = RULES.checked("\u0430cme.com")  # its first letter is not the Latin one
    assert cyrillic == "xn--cme-5cd.com"
    assert cyrillic != RULES.checked("acme.com")
    assert unicode_form(cyrillic) == "\u0430cme.com"


def test_a_machine_of_a_developer_may_have_reserved_names() -> None:
    rules = NameRules(base_domain="localhost", label="_tenantmesh", allow_reserved=True)
    assert rules.checked("app.acme.test") == "app.acme.test"
    with pytest.raises(RefusedName, match="name of this installation"):
        rules.checked("acme.localhost")


def test_a_name_leaves_room_for_the_label_below_it() -> None:
    longest = f"{'a' * 58}.{'b' * 60}.{'c' * 60}.{'d' * 56}.com"
    assert len(longest) == LONGEST_NAME - len("_tenantmesh.")
    assert RULES.checked(longest) == longest
    with pytest.raises(RefusedName, match="at most 241"):
        RULES.checked(f"a{longest}")


@given(st.text(max_size=80))
def test_every_text_has_one_spelling_or_none(text: str) -> None:
    try:
        name = normal_form(text)
    except RefusedName:
        return
    assert name.isascii()
    assert name == name.lower()
    assert normal_form(name) == name


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("gmail.com", "consumers"),
        ("gmx.de", "consumers"),
        ("mail.gmx.de", "consumers"),
        ("outlook.com", "consumers"),
        ("mailinator.com", "disposable"),
        ("deep.mailinator.com", "disposable"),
    ],
)
def test_domains_of_everybody_are_refused_with_the_reason(domain: str, words: str) -> None:
    assert words in (provider_problem(domain) or "")


@pytest.mark.parametrize("domain", ["acme.com", "notgmail.com", "xn--bcher-kva.de", "com.acme.io"])
def test_domains_of_organisations_are_accepted(domain: str) -> None:
    assert provider_problem(domain) is None
