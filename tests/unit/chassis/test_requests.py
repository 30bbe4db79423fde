"""The rules of texts and names: what would deceive a reader is refused, and the scripts of the world are not."""

from __future__ import annotations

import unicodedata

import pytest

from tenantmesh.chassis.requests import name_problem, text_problem

LONGEST = 50
BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize("character", BIDI_CONTROLS, ids=lambda each: f"U+{ord(each):04X}")
@pytest.mark.parametrize("problem", [text_problem, name_problem])
def test_characters_that_reorder_a_line_are_refused(problem: object, character: str) -> None:
    assert callable(problem)
    assert "direction" in problem(f"Acme{character}moc.live", LONGEST)


def test_the_list_is_unicodes() -> None:
    found = {chr(code) for code in range(0x110000) if unicodedata.bidirectional(chr(code)) in _CONTROLS}
    assert found == set(BIDI_CONTROLS) - {"\u061c", "\u200e", "\u200f"}
    assert [unicodedata.bidirectional(mark) for mark in "\u061c\u200e\u200f"] == ["AL", "L", "R"]


_CONTROLS = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    "name",
    [
        "P\u0430yPal",  # a Cyrillic a
        "G\u03bfogle",  # a Greek omicron
        "\u0410cme Ltd",  # a Cyrillic A
        "Acme \u0421o",  # a Cyrillic Es
        "\u03a1\u0430y",  # a Greek Rho, a Cyrillic a
        "Caf\u00e9\u0441",  # a Cyrillic Es after an accent
        "acme_\u0441o",
        "P\u200b\u0430\u0443\u200bPal",  # characters that nobody sees stand between the scripts
        "P\u00ad\u0430\u0443\u2060Pal",
        "P\u200d\u0430\u0443\ufeffPal",
        "P\u0301\u0430\u0443\u0301Pal",  # accents of their own
        "P\u034f\u0430\u0443\u034fPal",
    ],
)
def test_a_word_of_letters_that_look_alike_is_refused(name: str) -> None:
    problem = name_problem(name, LONGEST)
    assert problem is not None
    assert "one script" in problem


@pytest.mark.parametrize(
    "name",
    [
        "Acme",
        "Ünïcode 👩\u200d👩\u200d👧 GmbH",
        "\u042f\u043d\u0434\u0435\u043a\u0441 Taxi",  # a word of Cyrillic beside a word of Latin
        "\u03a3\u03c4\u03ac\u03c3\u03b7 & Sons",
        "\u041e\u041e\u041e-Acme",  # two words
        "トヨタ自動車 Toyota",
        "株式会社ABC",  # Japanese names mix Latin with other scripts, none of which looks like Latin
        "\u0646\u0627\u0645\u0647\u200c\u0647\u0627\u06cc Acme",  # Persian needs the non-joiner
        "\u05e9\u05dc\u05d5\u05dd \u05d1\u05e2\u05f4\u05de",
        "\u00b5Torrent 4\u2126",  # a sign, not a letter of Greek
        "Société Générale №1",
        "\u041e\u041e\u041e \u00ab\u0420\u043e\u043c\u0430\u0448\u043a\u0430\u00bb 2",
    ],
)
def test_names_of_the_world_are_accepted(name: str) -> None:
    assert name_problem(name, LONGEST) is None


def test_texts_may_mix_what_names_may_not() -> None:
    assert text_problem("the Cyrillic \u0430 in P\u0430yPal", LONGEST) is None


def test_a_name_is_a_text() -> None:
    for bad in ("", " ", "x" * (LONGEST + 1), "a\nb", "\u200b"):
        assert name_problem(bad, LONGEST) == text_problem(bad, LONGEST) is not None
