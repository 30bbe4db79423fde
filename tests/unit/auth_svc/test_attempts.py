"""The limits of sign-in attempts are those that operators read of."""

from __future__ import annotations

from pathlib import Path

from tenantmesh.auth_svc.sessions.attempts import LOCAL_ATTEMPTS

OPERATIONS = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


def test_operations_says_how_many_attempts_a_process_allows_alone() -> None:
    rate = f"{LOCAL_ATTEMPTS.burst} at once, then one every {1 / LOCAL_ATTEMPTS.per_second:g} s"
    assert rate in OPERATIONS.read_text()
