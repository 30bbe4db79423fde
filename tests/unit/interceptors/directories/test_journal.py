"""The journal of changes beside look-ups."""

from __future__ import annotations

from tenantmesh.interceptors.directories.journal import Journal


def test_a_change_overtakes_the_look_ups_that_were_begun_before_it() -> None:
    journal = Journal()
    journal.begin("early")
    journal.add(["acme", "former"])
    journal.begin("late")
    assert journal.overtook("early", ["acme"])
    assert journal.overtook("early", ["other", "former"])
    assert not journal.overtook("early", ["other"])
    assert not journal.overtook("late", ["acme", "former"])


def test_a_look_up_that_is_begun_anew_is_overtaken_by_later_changes_alone() -> None:
    journal = Journal()
    journal.begin("acme")
    journal.add(["acme"])
    journal.begin("acme")
    assert not journal.overtook("acme", ["acme"])
    journal.add_everything()
    assert journal.overtook("acme", [])


def test_only_what_a_look_up_may_need_is_kept() -> None:
    journal = Journal()
    journal.add(["unseen"])
    assert not journal
    journal.begin("first")
    journal.add(["one"])
    journal.begin("second")
    journal.add(["two"])
    journal.add(["one"])
    journal.end("first")
    assert len(journal) == 2
    assert journal.overtook("second", ["one"])
    journal.begin("third")
    journal.end("second")
    assert not journal
    journal.end("third")
