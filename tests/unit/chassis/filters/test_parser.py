"""Filters as trees: AIP-160's grammar, refusals that point at the place, and one spelling of each tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantmesh.chassis.filters.parser import LONGEST, MOST_TERMS, parsed
from tenantmesh.chassis.filters.tree import AllOf, AnyOf, Comparison, Literal, Negation, Node, Operator, Search
from tenantmesh.interceptors.errors import InvalidArgument

NAMES = st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
VALUES = st.lists(TEXTS, min_size=1, max_size=4).map(lambda parts: Literal(tuple(parts)))
KEYS = st.lists(st.one_of(NAMES, TEXTS), max_size=2)
COMPARISONS = st.builds(
    lambda name, keys, operator, value: Comparison((name, *keys), operator, value),
    NAMES, KEYS, st.sampled_from(Operator), VALUES,
)  # fmt: skip


def joined(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Nodes of these. An operand of the same kind would be joined with its parent."""
    several = st.lists(nodes, min_size=2, max_size=3)
    return st.one_of(
        several.filter(lambda found: not any(isinstance(one, AllOf) for one in found)).map(lambda x: AllOf(tuple(x))),
        several.filter(lambda found: not any(isinstance(one, AnyOf) for one in found)).map(lambda x: AnyOf(tuple(x))),
        nodes.map(Negation),
    )


TREES: st.SearchStrategy[Node] = st.recursive(st.one_of(COMPARISONS, st.builds(Search, VALUES)), joined, max_leaves=8)
PIECES = st.sampled_from(
    [
        *"()=<>!:.,-*\"'\\&|~ \t\n\u00a0\u201c\u202e\0",
        "a",
        "labels",
        "AND ",
        "OR ",
        "NOT ",
        "or",
        "\\u00e9",
        "\\U0001f600",
        "1",
    ]
)


def tree(text: str) -> Node:
    node = parsed("filter", text)[1]
    assert node is not None
    return node


def has(name: str, value: str = "*") -> Comparison:
    return Comparison((name,), Operator.HAS, Literal(tuple(value.split("*"))))


A, B, C = (Search(Literal((name,))) for name in "abc")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("a AND b OR c", AllOf((A, AnyOf((B, C))))),
        ("a OR b AND c", AllOf((AnyOf((A, B)), C))),
        ("(a AND b) OR c", AnyOf((AllOf((A, B)), C))),
        ("a b OR c", AllOf((A, AnyOf((B, C))))),
        ("a b AND c", AllOf((A, B, C))),
        ("-a NOT b", AllOf((Negation(A), Negation(B)))),
        ("NOT(a OR b)", Negation(AnyOf((A, B)))),
        ("-x:y", Negation(has("x", "y"))),
        ("-30", Negation(Search(Literal(("30",))))),
        ("((a))", A),
        ("a OR (b OR c)", AnyOf((A, B, C))),
        ("x:*", has("x")),
        ('x:"a\\*b*"', Comparison(("x",), Operator.HAS, Literal(("a*b", "")))),
        ("x.y != 'it\\'s'", Comparison(("x", "y"), Operator.UNEQUAL, Literal(("it's",)))),
        ('x."a.b":z', Comparison(("x", "a.b"), Operator.HAS, Literal(("z",)))),
        ("x>2026-01-31T12:00:00+01:00", Comparison(("x",), Operator.GREATER, Literal(("2026-01-31T12:00:00+01:00",)))),
        ("x = -5", Comparison(("x",), Operator.EQUAL, Literal(("-5",)))),
        ("\ta\n AND\r\nb ", AllOf((A, B))),
        ("app.acme.example", Search(Literal(("app.acme.example",)))),
        ("ANDROID", Search(Literal(("ANDROID",)))),
        ('x = "\\u00e9\\n\\U0001f600"', Comparison(("x",), Operator.EQUAL, Literal(("é\n😀",)))),
    ],
)  # fmt: skip
def test_a_filter_is_its_tree(text: str, node: Node) -> None:
    assert tree(text) == node


@pytest.mark.parametrize("text", ["", " ", "\t\r\n"])
def test_an_empty_filter_has_no_tree(text: str) -> None:
    assert parsed("filter", text)[1] is None


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("x = ", "column 5, at the end", "a value is missing"),
        ("x == y", "column 4, at “= y”", "use one of = !="),
        ("x <> y", "column 4, at “> y”", "use one of"),
        ("x =~ y", "column 4, at “~ y”", "regular expressions"),
        ("a and b", "column 3, at “and b”", "AND in capitals"),
        ("a && b", "column 3, at “&& b”", "write AND"),
        ("a || b", "column 3, at “|| b”", "write OR"),
        ("!a", "column 1, at “!a”", "write NOT"),
        ("a, b", "column 2, at “, b”", "AND or OR"),
        ("AND a", "column 1, at “AND a”", "a condition is missing"),
        ("a OR", "column 5, at the end", "a condition is missing"),
        ("()", "column 2, at “)”", "a condition is missing"),
        ("(a", "column 1, at “(a”", "add )"),
        ("a)", "column 2, at “)”", "remove it"),
        ("- a", "column 2, at “ a”", "directly before"),
        ("f(x)", "column 1, at “f(x)”", "functions"),
        ("Inc.", "column 5, at the end", "a text with a dot needs quotes"),
        ("x.*.'y*' = 1", "column 5, at “'y*' = 1”", "a key takes no wildcards"),
        ("x = 'abc", "column 5, at “'abc”", "close it with '"),
        ("x = 'abc\\", "column 5, at “'abc\\”", "close it with '"),
        ("'x' = y", "column 1, at “'x' = y”", "without quotes"),
        ("x = 'a'b", "column 8, at “b”", "a space is missing"),
        ("x = a'b", "column 6, at “'b”", "needs quotes"),
        ("x = '\\q'", "column 6, at “\\q'”", "is no escape"),
        ("x = '\\u0000'", "column 6, at “\\u0000'”", "no stored text"),
        ("x = '\\ud800'", "column 6, at “\\ud800'”", "no stored text"),
        ("x = '\\U00110000'", "column 6, at “\\U00110000'”", "no stored text"),
        ("x = a*b*c*d*e*f", "column 5, at “a*b*c*d*e*f”", "at most 4 wildcards"),
        ("x = \u201cy\u201d", "column 5, at “\u201cy\u201d”", "straight quotes"),
        ("x =\u00a0y", "column 4, at “\\u00a0y”", "an ordinary space"),
        ("x = y\u3000z", "column 6, at “\\u3000z”", "an ordinary space"),
        ("x = 'a\u202eb'", "column 7, at “\\u202eb'”", "as \\u202e"),
        ("x\0", "column 2, at “\\u0000”", "control characters"),
        ("x\u2028", "column 2, at “\\u2028”", "control characters"),
    ],
)  # fmt: skip
def test_a_refusal_points_at_the_place(text: str, place: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parsed("filter", text)
    (violation,) = caught.value.violations
    assert (caught.value.reason, violation.field) == ("INVALID_FIELD", "filter")
    assert violation.description.startswith(f"{place}: "), violation.description
    assert says in violation.description


def test_a_refusal_shows_a_part_of_a_long_text() -> None:
    with pytest.raises(InvalidArgument, match=r"at ““y{19}…”: "):
        parsed("filter", "x = \u201c" + "y" * 1000)


@pytest.mark.parametrize(
    ("within", "beyond", "says"),
    [
        ("a" * LONGEST, "a" * (LONGEST + 1), f"has {LONGEST + 1} characters; write at most {LONGEST}"),
        ("(" * 16 + "a" + ")" * 16, "(" * 17 + "a" + ")" * 17, "at most 16 deep"),
        (" ".join("a" * MOST_TERMS), " ".join("a" * (MOST_TERMS + 1)), f"at most {MOST_TERMS} comparisons"),
    ],
)
def test_a_filter_is_bounded(within: str, beyond: str, says: str) -> None:
    assert tree(within)
    with pytest.raises(InvalidArgument, match=says):
        parsed("filter", beyond)


@given(TREES)
def test_a_tree_that_was_written_is_read_again(node: Node) -> None:
    assert tree(str(node)) == node


@given(st.one_of(st.lists(PIECES, max_size=30).map("".join), st.text(max_size=40), TREES.map(str)))
def test_every_text_is_a_tree_or_a_refusal(text: str) -> None:
    try:
        node = parsed("filter", text)[1]
    except InvalidArgument as refusal:
        (violation,) = refusal.violations
        assert violation.field == "filter"
        assert len(violation.description) < 300
        return
    assert node is None or tree(str(node)) == node
