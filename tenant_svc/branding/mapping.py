"""Conversions between brandings of the domain and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from collections.abc import Iterable

from tenantmesh.chassis.moments import timestamp
from tenantmesh.tenant.v1 import branding_pb2
from tenantmesh.tenant.v1 import branding_service_pb2 as pb
from tenantmesh.tenant_svc.branding.branding import Branding, BrandingChange, StoredBranding
from tenantmesh.tenant_svc.branding.colors import Colors

__all__ = ["branding_change", "branding_message", "shown_message"]


def branding_message(stored: StoredBranding) -> branding_pb2.Branding:
    """Return the branding as those see it who may change it."""
    branding = stored.branding
    return branding_pb2.Branding(
        display_name=branding.display_name,
        colors=_colors_message(branding.colors),
        logo_uri=branding.logo_uri,
        icon_uri=branding.icon_uri,
        support_email=branding.support_email,
        sender_email=branding.sender_email,
        support_uri=branding.support_uri,
        terms_uri=branding.terms_uri,
        privacy_uri=branding.privacy_uri,
        etag=stored.etag,
        update_time=None if stored.update_time is None else timestamp(stored.update_time),
    )


def shown_message(branding: Branding) -> pb.GetBrandingResponse:
    """Return the branding as anybody sees it. It has no times: they would tell of changes."""
    return pb.GetBrandingResponse(
        display_name=branding.display_name,
        colors=_colors_message(branding.colors),
        logo_uri=branding.logo_uri,
        icon_uri=branding.icon_uri,
        support_email=branding.support_email,
        support_uri=branding.support_uri,
        terms_uri=branding.terms_uri,
        privacy_uri=branding.privacy_uri,
    )


def branding_change(message: branding_pb2.Branding, paths: Iterable[str]) -> BrandingChange:
    """Return the change that a request asks for."""
    draft = Branding(
        display_name=message.display_name,
        colors=_colors_of(message.colors) if message.HasField("colors") else None,
        logo_uri=message.logo_uri,
        icon_uri=message.icon_uri,
        support_email=message.support_email,
        sender_email=message.sender_email,
        support_uri=message.support_uri,
        terms_uri=message.terms_uri,
        privacy_uri=message.privacy_uri,
    )
    return BrandingChange(draft, frozenset(paths), message.etag)


def _colors_message(colors: Colors | None) -> branding_pb2.BrandColors | None:
    if colors is None:
        return None
    return branding_pb2.BrandColors(
        primary=colors.primary, background=colors.background, text=colors.text, on_primary=colors.on_primary
    )


def _colors_of(message: branding_pb2.BrandColors) -> Colors:
    """Return the colours of a request. Their letters have one case, so that equal colours are equal texts."""
    return Colors(message.primary.lower(), message.background.lower(), message.text.lower(), message.on_primary.lower())
