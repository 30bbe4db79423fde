"""Pages by rows and by bytes."""

from __future__ import annotations

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from tenantmesh.chassis.pages import LARGEST_PAGE, PAGE_BYTES, Page, id_tokens, page_size
from tenantmesh.interceptors.errors import InvalidArgument

TOKENS = id_tokens(b"tm.test")


def page_of(*names: str, size: int) -> Page[str]:
    return TOKENS.page([*names], size, lambda name: name)


def large(name: str) -> StringValue:
    """A message of two fifths of a page, so that two fit into one."""
    return StringValue(value=name * (PAGE_BYTES * 2 // 5 // len(name)))


def test_a_page_holds_what_fits_and_the_next_begins_after_it() -> None:
    messages, token = page_of("aa", "bb", "cc", "dd", size=4).as_messages(large)
    assert [message.value[0] for message in messages] == ["a", "b"]
    assert TOKENS.open(token) == "bb"


def test_a_page_that_fits_ends_where_it_was_asked_to() -> None:
    names = ("aa", "bb", "cc")
    messages, token = page_of(*names, size=2).as_messages(lambda name: StringValue(value=name))
    assert ([message.value for message in messages], TOKENS.open(token)) == (["aa", "bb"], "bb")
    messages, token = page_of(*names, size=3).as_messages(lambda name: StringValue(value=name))
    assert (len(messages), token) == (3, "")


def test_one_item_is_given_whatever_its_size() -> None:
    def huge(name: str) -> StringValue:
        return StringValue(value=name * PAGE_BYTES)

    messages, token = page_of("aa", "bb", size=5).as_messages(huge)
    assert (len(messages), TOKENS.open(token)) == (1, "aa")
    messages, token = page_of("aa", size=5).as_messages(huge)
    assert (len(messages), token) == (1, "")


@pytest.mark.parametrize(("asked", "size"), [(0, 50), (7, 7), (LARGEST_PAGE, LARGEST_PAGE), (10**9, LARGEST_PAGE)])
def test_a_page_has_the_size_that_was_asked_for_within_limits(asked: int, size: int) -> None:
    assert page_size(asked) == size


def test_a_list_may_have_a_larger_page_by_default() -> None:
    assert page_size(0, LARGEST_PAGE) == LARGEST_PAGE
    with pytest.raises(InvalidArgument):
        page_size(-1, LARGEST_PAGE)
