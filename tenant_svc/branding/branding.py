"""A branding: its fields, a change of them, and what is shown where fields are empty."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from hashlib import blake2s
from typing import Any

from tenantmesh.tenant_svc.branding.colors import Colors, readable_on

__all__ = ["INSTALLATION", "Branding", "BrandingChange", "StoredBranding"]

INSTALLATION = uuid.UUID(int=0)
"""The owner of the default branding. No tenant has this id."""


@dataclass(frozen=True, slots=True)
class Branding:
    """How a tenant or the installation looks. Texts are empty, and `colors` is None, where nothing was chosen."""

    display_name: str = ""
    colors: Colors | None = None
    logo_uri: str = ""
    icon_uri: str = ""
    support_email: str = ""
    sender_email: str = ""
    support_uri: str = ""
    terms_uri: str = ""
    privacy_uri: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the branding as it is stored: the fields that are set."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Branding:
        """Return the branding that `to_json` wrote."""
        colors = stored.get("colors")
        return cls(**{**stored, "colors": None if colors is None else Colors(**colors)})

    def over(self, default: Branding) -> Branding:
        """Return this branding with the default in place of what is empty, and a colour for text on the primary one."""
        filled = replace(self, **{name: getattr(self, name) or getattr(default, name) for name in _NAMES})
        colors = filled.colors
        if colors is None or colors.on_primary:
            return filled
        return replace(filled, colors=replace(colors, on_primary=readable_on(colors.primary)))


_NAMES = tuple(field.name for field in fields(Branding))
_COLORS = tuple(f"colors.{field.name}" for field in fields(Colors))
_KEPT = frozenset({"etag", "update_time"})
"""Paths that change nothing: a client that sends a resource back as it was read may name them (AIP-203)."""
_NO_COLORS = Colors("", "", "")


@dataclass(frozen=True, slots=True)
class StoredBranding:
    """A branding as it is stored. `version` counts its changes; 0 is before the first."""

    owner: uuid.UUID
    branding: Branding = Branding()
    version: int = 0
    update_time: datetime | None = None

    @property
    def etag(self) -> str:
        """The identifier of this version. Another owner's etag never equals it."""
        return blake2s(b"branding" + self.owner.bytes + self.version.to_bytes(8), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class BrandingChange:
    """A change that a request asks for: new values, and the paths of those to apply. Without paths, all of them."""

    draft: Branding
    paths: frozenset[str]
    etag: str

    @property
    def mask_problem(self) -> str | None:
        """The rule that the mask breaks, or None."""
        if self.paths <= {*_NAMES, *_COLORS, *_KEPT, "*"}:
            return None
        return f"may name {', '.join(_NAMES)}, or a colour such as {_COLORS[0]}"

    def of(self, before: Branding) -> Branding:
        """Return the branding with the change applied, unchecked."""
        if not self.paths or "*" in self.paths:
            return self.draft
        named = {name: getattr(self.draft, name) for name in _NAMES if name in self.paths}
        return replace(before, **{"colors": self._colors(before.colors), **named})

    def _colors(self, before: Colors | None) -> Colors | None:
        """Return the colours after a change that names some of them."""
        names = [path.removeprefix("colors.") for path in self.paths & set(_COLORS)]
        new = self.draft.colors or _NO_COLORS
        return replace(before or _NO_COLORS, **{name: getattr(new, name) for name in names}) if names else before
