"""The rules for checks. The use case finds out whether the tenant and the feature exist."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.chassis.requests import refuse

__all__ = ["FeatureCheck", "check_check"]


@dataclass(frozen=True, slots=True)
class FeatureCheck:
    """A question: may the tenant, named by its id or slug, use the amount of the feature? Zero means one."""

    tenant: str
    feature: str
    amount: int


def check_check(check: FeatureCheck) -> None:
    """Check the check: it names a tenant and a feature, and its amount is 0 or more. Raises InvalidArgument."""
    refuse(
        {
            "id": None if check.tenant else "is required",
            "feature": None if check.feature else "is required",
            "amount": None if check.amount >= 0 else "must not be negative",
        }
    )
