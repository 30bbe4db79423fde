"""Colours, and how well one can be read on another: the contrast ratio of WCAG 2."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["Colors", "color_problems", "contrast", "readable_on"]

_FORM = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)
_LEAST_OF_TEXT, _LEAST_OF_SHAPES = 4.5, 3.0
_LINEAR_UNTIL = 0.04045
"""Channels of sRGB up to this value are a straight line, and a power of the light above it."""
_BLACK, _WHITE = "#000000", "#ffffff"


@dataclass(frozen=True, slots=True)
class Colors:
    """The colours of pages, as `#rrggbb`. `on_primary` may be empty: then it is black or white."""

    primary: str
    background: str
    text: str
    on_primary: str = ""


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 for equal ones to 21 for black on white."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def readable_on(color: str) -> str:
    """Return black or white, whichever contrasts more with the colour."""
    return max((_BLACK, _WHITE), key=lambda text: contrast(text, color))


def color_problems(colors: Colors) -> dict[str, str | None]:
    """Return the broken rule of each colour, or None. Contrast is judged where both colours have the form."""
    problems = {
        "primary": _form_problem(colors.primary),
        "background": _form_problem(colors.background),
        "text": _form_problem(colors.text),
        "on_primary": _form_problem(colors.on_primary) if colors.on_primary else None,
    }
    if not problems["background"]:
        problems["text"] = problems["text"] or _contrast_problem(
            colors.text, colors.background, "background", _LEAST_OF_TEXT
        )
        problems["primary"] = problems["primary"] or _contrast_problem(
            colors.primary, colors.background, "background", _LEAST_OF_SHAPES
        )
    if colors.on_primary and not problems["on_primary"] and not _form_problem(colors.primary):
        problems["on_primary"] = _contrast_problem(colors.on_primary, colors.primary, "primary", _LEAST_OF_TEXT)
    return problems


def _form_problem(color: str) -> str | None:
    return None if _FORM.fullmatch(color) else "must be a colour of the form #rrggbb, such as #1d4ed8"


def _contrast_problem(color: str, ground: str, name: str, least: float) -> str | None:
    ratio = contrast(color, ground)
    if ratio >= least:
        return None
    shown = math.floor(ratio * 100) / 100  # rounded up, 4.499 would look like enough
    return f"must have a contrast ratio of at least {least} to 1 against {name} {ground}; it has {shown:.2f}"


def _luminance(color: str) -> float:
    red, green, blue = (_linear(int(color[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= _LINEAR_UNTIL else float(((channel + 0.055) / 1.055) ** 2.4)
