"""Security events: one form, whoever reports them."""

from __future__ import annotations

import pytest

from tenantmesh.interceptors import security_event


def test_a_security_event_is_marked_as_one(caplog: pytest.LogCaptureFixture) -> None:
    security_event("seen", tenant_id="a")
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("tenantmesh.security", "seen")
    assert (vars(record)["security"], vars(record)["tenant_id"]) == (True, "a")


@pytest.mark.parametrize("name", ["name", "message", "module", "args"])
def test_an_id_may_not_have_the_name_of_a_records_own_field(name: str) -> None:
    with pytest.raises(ValueError, match=f"log records have these names themselves: {name}"):
        security_event("seen", **{name: "x"})
