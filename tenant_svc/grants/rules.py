"""The rules for a grant, checked before it is stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from tenantmesh.chassis.requests import expiry_problem, reason_problem, refuse
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.tenant_svc.features.feature import FeatureDef

__all__ = ["GrantDraft", "check_grant"]

_MAX_PRIORITY = 1000


@dataclass(frozen=True, slots=True)
class GrantDraft:
    """A grant as a request describes it; None stands for a default."""

    feature: str
    amount: int
    priority: int
    effective_time: datetime | None
    expire_time: datetime | None
    max_rollover: int | None
    min_rollover: int
    reason: str

    @property
    def digest(self) -> str:
        """The digest of the fields. It tells a repeated request from a different one with the same id."""
        times = [moment and moment.isoformat() for moment in (self.effective_time, self.expire_time)]
        rest = [self.feature, self.amount, self.priority, self.max_rollover, self.min_rollover, self.reason]
        return sha256(json.dumps([*times, *rest]).encode()).hexdigest()

    @property
    def most_left(self) -> int:
        """The most units that a new period can begin with."""
        return self.amount if self.max_rollover is None else self.max_rollover


def check_grant(draft: GrantDraft, feature: FeatureDef, now: datetime) -> None:
    """Check that the grant can be used: of a METERED feature, at least 1 unit, ending after it begins. Raises
    InvalidArgument."""
    begins = max(draft.effective_time or now, now)
    most = draft.most_left
    refuse(
        {
            "grant.feature": None if feature.type is FeatureType.METERED else "must be a METERED feature",
            "grant.amount": None if 1 <= draft.amount <= LARGEST_AMOUNT else f"must be 1 to {LARGEST_AMOUNT}",
            "grant.priority": None if 0 <= draft.priority <= _MAX_PRIORITY else f"must be 0 to {_MAX_PRIORITY}",
            "grant.expire_time": expiry_problem(draft.expire_time, begins),
            "grant.max_rollover": None if 0 <= most <= draft.amount else "must be 0 to the amount",
            "grant.min_rollover": None if 0 <= draft.min_rollover <= most else "must be 0 to max_rollover",
            "grant.reason": reason_problem(draft.reason),
        }
    )
