"""Changes of names as rows store them, for processes of this version and of the one before."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tenantmesh.tenant_svc.tenants.name_change import NameChange

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def change(reason: str, lapse_time: datetime | None = None) -> NameChange:
    return NameChange(
        type="EMAIL_DOMAIN_CHANGED",
        name="acme.net",
        state="LAPSED",
        reason=reason,
        time=MOMENT,
        lapse_time=lapse_time,
    )


@pytest.mark.parametrize("made", [change("REMOVED"), change("TAKEN_OVER"), change("NO_RECORD", MOMENT)], ids=str)
def test_a_change_is_read_as_it_was_stored(made: NameChange) -> None:
    assert NameChange.from_json(made.to_json()) == made


def test_a_removal_is_a_lapse_to_processes_that_know_no_removals() -> None:
    """They end their watch at a reason that they do not know."""
    stored = change("REMOVED").to_json()
    assert (stored["state"], stored["reason"]) == ("LAPSED", "NO_RECORD")
    del stored["removed"]  # as they have written it
    assert NameChange.from_json(stored) == change("NO_RECORD")
