"""Contrast as WCAG 2 has it, and colours that can't be read."""

from __future__ import annotations

import pytest

from tenantmesh.tenant_svc.branding.colors import Colors, color_problems, contrast, readable_on


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#777777", "#ffffff", 4.478),  # the well-known grey that is just too light
        ("#767676", "#ffffff", 4.542),
        ("#ff0000", "#ffffff", 3.998),
        ("#0000ff", "#ffffff", 8.592),
        ("#1D4ED8", "#ffffff", 6.701),
        ("#abcdef", "#abcdef", 1.0),
    ],
)
def test_the_ratio_is_that_of_wcag(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == contrast(other, one) == pytest.approx(ratio, abs=0.002)


@pytest.mark.parametrize(("color", "text"), [("#000000", "#ffffff"), ("#ffffff", "#000000"), ("#1d4ed8", "#ffffff")])
def test_text_on_a_colour_is_black_or_white(color: str, text: str) -> None:
    assert readable_on(color) == text


def test_text_on_every_grey_can_be_read() -> None:
    greys = [f"#{level:02x}{level:02x}{level:02x}" for level in range(256)]
    assert min(contrast(grey, readable_on(grey)) for grey in greys) >= 4.5


def test_colours_that_can_be_read_have_no_problem() -> None:
    assert not any(color_problems(Colors("#1d4ed8", "#ffffff", "#111827", "#ffffff")).values())
    assert not any(color_problems(Colors("#1d4ed8", "#ffffff", "#111827")).values())


@pytest.mark.parametrize(
    ("field", "colors", "said"),
    [
        ("text", Colors("#000000", "#ffffff", "#777777"), "at least 4.5 to 1 against background #ffffff; it has 4.47"),
        (
            "primary",
            Colors("#aaaaaa", "#ffffff", "#000000"),
            "at least 3.0 to 1 against background #ffffff; it has 2.32",
        ),
        ("on_primary", Colors("#1d4ed8", "#ffffff", "#000000", "#000000"), "against primary #1d4ed8; it has 3.13"),
    ],
)
def test_the_ratio_is_said_and_never_rounded_up(field: str, colors: Colors, said: str) -> None:
    (problem,) = [(name, text) for name, text in color_problems(colors).items() if text]
    assert problem[0] == field
    assert said in problem[1]


@pytest.mark.parametrize(
    "color",
    [
        "",
        "red",
        "#fff",
        "#ffffff\n",
        "#fffffff",
        "ffffff",
        "#gggggg",
        "#ffffff ",
        "#١٢٣٤٥٦",
        "#\uff46\uff46\uff46\uff46\uff46\uff46",
        "#" * 10_000,
    ],
)
def test_other_forms_are_refused_before_contrast_is_judged(color: str) -> None:
    problems = color_problems(Colors("#000000", color, "#000000"))
    assert {name for name, problem in problems.items() if problem} == {"background"}
    assert "#rrggbb" in str(problems["background"])
