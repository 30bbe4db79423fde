"""The refusals of e-mail domains, with what the caller does next."""

from __future__ import annotations

from tenantmesh.interceptors.errors import FailedPrecondition, NotFound

__all__ = ["email_domain_not_found", "email_domains_full"]


def email_domain_not_found() -> NotFound:
    """Return the refusal of a domain that is missing or another tenant's."""
    return NotFound("EMAIL_DOMAIN_NOT_FOUND", "The tenant has no such e-mail domain. List its e-mail domains.")


def email_domains_full(limit: int) -> FailedPrecondition:
    """Return the refusal of one domain too many."""
    return FailedPrecondition(
        "EMAIL_DOMAINS_FULL",
        f"A tenant may have {limit} e-mail domains. Remove one that is not needed, or ask the operator of this "
        "installation for more.",
        metadata={"limit": str(limit)},
    )
