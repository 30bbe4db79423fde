"""The rules for adjustments and reports of levels. The use case finds out whether the feature exists."""

from __future__ import annotations

from tenantmesh.chassis.requests import id_problem, refuse, text_problem
from tenantmesh.interceptors.caller import Caller, CallerKind
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.tenant_svc.allowances.rules import amount_problem
from tenantmesh.tenant_svc.gauges.gauge import Adjustment, Report

__all__ = ["checked_adjustment", "checked_report"]

_LONGEST_KEY = 200


def checked_adjustment(gauge: str, delta: int, key: str, caller: Caller) -> Adjustment:
    """Return the adjustment. Raises InvalidArgument unless it changes the level and has a key."""
    within = 1 <= abs(delta) <= LARGEST_AMOUNT
    refuse(
        {
            "gauge": id_problem(gauge),
            "delta": None if within else f"must be from 1 to {LARGEST_AMOUNT}, or the same below zero",
            "key": text_problem(key, _LONGEST_KEY),
        }
    )
    return Adjustment(gauge, delta, key, caller.subject, overrules=caller.kind is CallerKind.OPERATOR)


def checked_report(gauge: str, level: int, version: int, caller: Caller) -> Report:
    """Return the report. Raises InvalidArgument unless the level is zero or more and the version at least 1."""
    refuse(
        {
            "gauge": id_problem(gauge),
            "level": amount_problem(level, least=0),
            "version": None if version >= 1 else "must be at least 1",
        }
    )
    return Report(gauge, level, version, caller.subject)
