"""The table of e-mail domains."""

from __future__ import annotations

from tenantmesh.tenant_svc.domain_proofs.tables import proof_table

__all__ = ["email_domains"]

email_domains = proof_table("email_domains", "domain")
