"""The rules for a branding, checked before it is stored."""

from __future__ import annotations

import re
from collections.abc import Callable

from tenantmesh.chassis.emails import email_problem
from tenantmesh.chassis.requests import INVISIBLE, name_problem, refuse
from tenantmesh.tenant_svc.branding.branding import Branding, BrandingChange
from tenantmesh.tenant_svc.branding.colors import color_problems
from tenantmesh.tenant_svc.branding.uris import uri_problem

__all__ = ["check_branding", "check_default"]

_LONGEST_NAME = 200
_URIS = ("logo_uri", "icon_uri", "support_uri", "terms_uri", "privacy_uri")
_EMAILS = ("support_email", "sender_email")
# Joiners and the selector of emoji: letters of some languages, and pictures, need them.
_HIDDEN = re.compile(f"(?![\u200c\u200d\ufe0f]){INVISIBLE.pattern}")


def check_branding(change: BrandingChange, wanted: Branding) -> None:
    """Raise InvalidArgument that names every field at fault, unless the branding after the change keeps the rules."""
    refuse({"update_mask": change.mask_problem, **_problems(wanted)})


def check_default(change: BrandingChange, wanted: Branding) -> None:
    """As `check_branding`, for the branding of the installation: others fall back to its name and its colours."""
    problems = _problems(wanted)
    missing = {
        "branding.display_name": None if wanted.display_name else "is required",
        "branding.colors": None if wanted.colors else "is required",
    }
    refuse({"update_mask": change.mask_problem, **missing, **{name: each for name, each in problems.items() if each}})


def _problems(branding: Branding) -> dict[str, str | None]:
    """Return the broken rule of each field, or None."""
    colors = {} if branding.colors is None else color_problems(branding.colors)
    return {
        "branding.display_name": _name_problem(branding.display_name) if branding.display_name else None,
        **{f"branding.colors.{name}": problem for name, problem in colors.items()},
        **{f"branding.{name}": _unless_empty(uri_problem, getattr(branding, name)) for name in _URIS},
        **{f"branding.{name}": _unless_empty(email_problem, getattr(branding, name)) for name in _EMAILS},
    }


def _unless_empty(problem: Callable[[str], str | None], text: str) -> str | None:
    return problem(text) if text else None


def _name_problem(name: str) -> str | None:
    problem = name_problem(name, _LONGEST_NAME)
    if problem is None and _HIDDEN.search(name):
        return "must have no characters that show nothing: type it instead of pasting it"
    return problem
