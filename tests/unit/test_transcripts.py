"""How a page of the documentation is read and compared."""

from __future__ import annotations

from tests.transcripts.masks import Masks, pairs, translated
from tests.transcripts.page import Step, blocks_of, body_of, replaced

PAGE = """# A page

```console
$ one
first
$ two \\
    on
second
```

<!-- output of: watch -->
```console
third
```

```sh
$ not run
```
"""
ONE, TWO = "01a22c89-fa50-76eb-9e5b-d01db48af529", "01a22c8a-0000-76eb-9e5b-d01db48af529"


def test_a_page_is_blocks_of_commands_and_outputs() -> None:
    first, second = blocks_of(PAGE)
    assert first.steps == [Step("one", "first\n"), Step("two \\\n    on", "second\n")]
    assert body_of(first.steps) == first.body
    assert (second.output_of, second.body, second.line) == ("watch", "third\n", 13)


def test_only_the_bodies_are_replaced() -> None:
    written = replaced(PAGE, ["$ one\nelse\n", "fourth\n"])
    assert written == PAGE.replace("first\n$ two \\\n    on\nsecond\n", "else\n").replace("third", "fourth")


def test_ids_are_compared_by_where_they_stand() -> None:
    assert Masks().mask(f"{ONE} {TWO} {ONE}") == Masks().mask(f"{TWO} {ONE} {TWO}")
    assert Masks().mask(f"{ONE} {TWO}") != Masks().mask(f"{ONE} {ONE}")


def test_an_id_of_the_page_stands_for_the_one_that_was_answered() -> None:
    page, product = Masks(), Masks()
    page.mask(f'"etag":"{"a" * 16}" {ONE}')
    product.mask(f'"etag":"{"b" * 16}" {TWO}')
    assert dict(pairs(page, product)) == {"a" * 16: "b" * 16, ONE: TWO}


def test_what_differs_from_run_to_run_is_masked() -> None:
    assert Masks().mask("at 2026-11-30T12:59:29.746996Z\nretry-after: 7\nok   0.6s") == Masks().mask(
        "at 2027-01-01T00:00:00Z\nretry-after: 8\nok  12.0s"
    )
    assert Masks().mask("retry-after: 7") != Masks().mask("retry-after: soon")


def test_what_the_page_says_beside_its_blocks_is_translated_once() -> None:
    """Else a value of this run that is another one's value on the page would be translated again."""
    words = {ONE: TWO, TWO: ONE, "abc": "def"}
    assert translated(f"{ONE}, then {TWO}; abc, abcd, x-abc", words) == f"{TWO}, then {ONE}; def, abcd, x-abc"
    assert translated("as it is", {}) == "as it is"


def test_values_of_different_kinds_do_not_stand_for_each_other() -> None:
    page, product = Masks(), Masks()
    page.mask(f'{ONE} "cursor":"{"c" * 12}" {TWO}')
    product.mask(f"{TWO} {ONE}")
    assert dict(pairs(page, product)) == {ONE: TWO}


def test_what_is_left_of_a_limit_is_compared_at_a_pages_first_call_only() -> None:
    first, second = (
        'ratelimit: "api";r=99;t=1\nratelimit-remaining: 99',
        'ratelimit: "api";r=97;t=2\nratelimit-remaining: 97',
    )
    assert Masks().mask(first) != Masks().mask(second)
    assert Masks().mask(f"{first}\n{first}") == Masks().mask(f"{first}\n{second}")
