"""Values, amounts and moments in words, for the history and for explanations. People read them, programs do not."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue

__all__ = ["amount_words", "moment_words", "value_words"]


def value_words(value: FeatureValue | None, feature: FeatureDef) -> str:
    """Return words such as `on`, `1000 request a day`, `unlimited`, or a STATIC value as JSON."""
    if value is None:
        return "nothing"
    if value.enabled is not None:
        return "on" if value.enabled else "off"
    if value.static is not None:
        return json.dumps(value.static, sort_keys=True)
    if value.unlimited:
        return "unlimited"
    per = f" a {feature.period.value.lower()}" if feature.period else ""
    return amount_words(value.amount or 0, feature) + per


def amount_words(amount: int, feature: FeatureDef) -> str:
    """Return words such as `1000 request`, with the catalog's unit."""
    return f"{amount} {feature.unit}" if feature.unit else str(amount)


def moment_words(moment: datetime) -> str:
    """Return the moment in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
