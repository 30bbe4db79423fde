"""Values, amounts and moments in words, for the history and for explanations. People read them, programs do not."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue

__all__ = ["amount_words", "moment_words", "unit_words", "value_words"]


def value_words(value: FeatureValue | None, feature: FeatureDef) -> str:
    """Return words such as `on`, `1000 requests a day`, `unlimited`, or a STATIC value as JSON."""
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
    """Return words such as `1000 requests`, with the catalog's unit."""
    return f"{amount} {unit_words(amount, feature.unit)}" if feature.unit else str(amount)


def unit_words(amount: int, unit: str) -> str:
    """Return the unit as it follows the amount: `request` becomes 2 requests. A unit that is no English noun in lower
    case, such as `GiB`, stays as it is."""
    last = unit.rpartition(" ")[2]
    if amount == 1 or not (last.isascii() and last.isalpha() and last.islower()) or last.endswith("s"):
        return unit
    if last.endswith("y") and last[-2:-1] not in set("aeiou"):
        return f"{unit[:-1]}ies"
    return f"{unit}es" if last.endswith(("x", "z", "ch", "sh")) else f"{unit}s"


def moment_words(moment: datetime) -> str:
    """Return the moment in UTC, to the second."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
