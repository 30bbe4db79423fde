"""Opaque strings: what was made for one thing does not open another."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantmesh.chassis.event_log.cursor_text import Cursors, SnapshotCursor, StreamCursor
from tenantmesh.chassis.pages import uuid_tokens
from tenantmesh.interceptors.errors import InvalidArgument
from tenantmesh.tenant_svc.tenants.events import CURSORS

TOKENS = uuid_tokens(b"tm.list", uuid.UUID(int=0))
positions = st.integers(0, 2**63 - 1)
cursors = st.builds(StreamCursor, positions) | st.builds(SnapshotCursor, positions, st.uuids())


@given(st.uuids())
def test_a_page_token_opens_to_what_it_was_made_from(after: uuid.UUID) -> None:
    assert TOKENS.open(TOKENS.token(after)) == after


@given(cursors)
def test_a_cursor_opens_to_what_it_was_made_from(cursor: StreamCursor | SnapshotCursor) -> None:
    assert CURSORS.open(CURSORS.text(cursor)) == cursor


@given(cursors, st.data())
def test_a_cursor_with_a_character_changed_is_none(cursor: StreamCursor | SnapshotCursor, data: st.DataObject) -> None:
    text = CURSORS.text(cursor)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda each: each != text[at]))
    with pytest.raises(ValueError, match=r"."):
        CURSORS.open(text[:at] + other + text[at + 1 :])


@given(st.text())
def test_garbage_is_refused_and_nothing_worse(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        CURSORS.open(text)
    if text:
        with pytest.raises(InvalidArgument):
            TOKENS.open(text)


def test_a_token_made_for_something_else_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="page_token"):
        TOKENS.open(CURSORS.text(StreamCursor(7)))
    with pytest.raises(ValueError, match="something else"):
        CURSORS.open(TOKENS.token(uuid.uuid4()))


def test_a_cursor_of_another_log_is_refused() -> None:
    another = Cursors(stream=b"other", snapshot=b"other.s")
    for cursor in (StreamCursor(7), SnapshotCursor(7, uuid.uuid4())):
        with pytest.raises(ValueError, match="something else"):
            CURSORS.open(another.text(cursor))


def test_a_padded_or_extended_spelling_is_refused() -> None:
    text = TOKENS.token(uuid.uuid4())
    for other in (text + "=", text + "==", text + "A", text[:-1], text + "\n", " " + text, "A" * 10_000):
        with pytest.raises(InvalidArgument):
            TOKENS.open(other)
