"""The proof of a name: the text to publish, and the look for it. Knows no state and no database."""

from __future__ import annotations

import asyncio

from tenantmesh.tenant_svc.domain_proofs.proof import NameProof, ProofReason
from tenantmesh.tenant_svc.domain_proofs.resolver import NameResolver, NoAnswer, Texts
from tenantmesh.tenant_svc.domain_proofs.web_pages import PageBody, WebPages

__all__ = ["PAGE", "Evidence", "dns_name", "proof_text"]

PAGE = "/.well-known/tenantmesh-proof"
"""The path of the page that proves a login host."""


def proof_text(token: str) -> str:
    """Return the text that proves a name of the tenant with that token."""
    return f"tenantmesh-proof={token}"


def dns_name(label: str, name: str) -> str:
    """Return the name of the record that proves a name."""
    return f"{label}.{name}"


class Evidence:
    """Looks for proofs. `label` is the label of the record below a name."""

    def __init__(self, resolver: NameResolver, pages: WebPages, label: str) -> None:
        self._resolver = resolver
        self._pages = pages
        self._label = label

    async def look(self, proof: NameProof, *, by_http: bool) -> tuple[ProofReason, str]:
        """Return what the DNS, and a page where `by_http` says so, show of the proof: the result, and words for it.

        A page that gives no answer leaves the result unknown only for a name that was proven by its page.
        """
        in_dns = self._in_dns(proof)
        if not by_http:
            return await in_dns
        (result, detail), (page, said) = await asyncio.gather(in_dns, self._on_page(proof))
        if ProofReason.PROVEN_BY_DNS is result:
            return result, detail
        if page is ProofReason.PROVEN_BY_HTTP:
            return page, said
        lost = page is ProofReason.NO_ANSWER and proof.proven_by is ProofReason.PROVEN_BY_HTTP
        return page if lost else result, f"{detail} {said}"

    async def _in_dns(self, proof: NameProof) -> tuple[ProofReason, str]:
        name = dns_name(self._label, proof.name)
        answer = await self._resolver.texts(name)
        if isinstance(answer, NoAnswer):
            return ProofReason.NO_ANSWER, answer.detail
        if not isinstance(answer, Texts) or not answer.texts:
            detail = "" if isinstance(answer, Texts) else answer.detail
            return ProofReason.NO_RECORD, detail
        if any(_shows(text, proof) for text in answer.texts):
            return ProofReason.PROVEN_BY_DNS, f"The TXT record of {name} has the text."
        count = len(answer.texts)
        return ProofReason.WRONG_VALUE, f"{name} has {count} TXT record{'s' * (count > 1)}, and none has the text."

    async def _on_page(self, proof: NameProof) -> tuple[ProofReason, str]:
        answer = await self._pages.read(proof.name, PAGE)
        if isinstance(answer, NoAnswer):
            return ProofReason.NO_ANSWER, answer.detail
        if not isinstance(answer, PageBody):
            return ProofReason.NO_RECORD, answer.detail
        if _shows(answer.text, proof):
            return ProofReason.PROVEN_BY_HTTP, f"The page {PAGE} of {proof.name} has the text."
        return ProofReason.WRONG_VALUE, f"The page {PAGE} of {proof.name} has another text."


def _shows(text: str, proof: NameProof) -> bool:
    """Return whether a text is the proof. Forms of DNS providers add quotes and spaces, and change the case."""
    return bool(proof.token) and text.strip().strip('"').strip().casefold() == proof_text(proof.token)
