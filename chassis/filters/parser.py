"""The parser of filters: AIP-160's grammar without functions.

    expression = sequence {"AND" sequence}        sequence = factor {factor}      factor = term {"OR" term}
    term       = ["NOT" | "-"] simple             simple   = "(" expression ")" | comparison | value
    comparison = name {"." key} operator value    operator = "=" | "!=" | "<" | "<=" | ">" | ">=" | ":"

OR binds tighter than AND. Factors without a word between them are joined as by AND. A value without quotes ends at a
space or a parenthesis, so that times and hosts need no quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

from tenantmesh.chassis.filters.escapes import quoted, unquoted
from tenantmesh.chassis.filters.query_text import QueryText
from tenantmesh.chassis.filters.tree import (
    KEYWORDS,
    AllOf,
    AnyOf,
    Comparison,
    Literal,
    Negation,
    Node,
    Operator,
    Search,
)

__all__ = ["LONGEST", "MOST_TERMS", "parsed"]

LONGEST = 4096
"""Characters of a filter."""
MOST_TERMS = 100
"""Comparisons and searches of a filter."""
_DEEPEST = 16

_SPACE = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r"[^\s()<>=!:.,;\"'\\&|~\u201c\u201d\u2018\u201e]+")
_VALUE = re.compile(r"[^\s()<>=!,;\"'\\&|~\u201c\u201d\u2018\u201e]+")
_OPERATOR = re.compile(r"!=|<=|>=|[=<>:]")
_QUOTES = ("'", '"')
_OPERATORS = "use one of = != < <= > >= :"
_INSTEAD = {
    "&": "write AND",
    "|": "write OR",
    "!": "write NOT, or != between a field and a value",
    "~": "regular expressions are not taken; use * for any text",
    ",": "write AND or OR between conditions",
    ";": "write AND or OR between conditions",
    "\\": "escapes stand between quotes",
    **dict.fromkeys("\u201c\u201d\u2018\u201e", "write straight quotes"),
}


def parsed(field: str, text: str) -> tuple[QueryText, Node | None]:
    """Return the tree of a filter; None for an empty one, which everything matches.

    Raises InvalidArgument that names the field of the request and points at the place, for a text that is no filter,
    and for one that is too long, too deep or of too many terms.
    """
    source = QueryText.checked(field, text, LONGEST)
    return source, _Parser(source).filter()


class _Parser:
    """One pass over the text. `_at` is the index of the next character that was not read."""

    def __init__(self, source: QueryText) -> None:
        self._source = source
        self._text = source.text
        self._at = 0
        self._terms = 0
        self._depth = 0

    def filter(self) -> Node | None:
        self._skip()
        if self._ended():
            return None
        node = self._expression()
        if not self._ended():
            self._refuse("this parenthesis opens nowhere; remove it")
        return node

    def _expression(self) -> Node:
        operands = [self._sequence()]
        while self._takes_word("AND"):
            operands.append(self._sequence())
        return _joined(AllOf, operands)

    def _sequence(self) -> Node:
        operands = [self._factor()]
        while not (self._ended() or self._next_is(")") or self._word_here() == "AND"):
            operands.append(self._factor())
        return _joined(AllOf, operands)

    def _factor(self) -> Node:
        operands = [self._term()]
        while self._takes_word("OR"):
            operands.append(self._term())
        return _joined(AnyOf, operands)

    def _term(self) -> Node:
        if self._takes_word("NOT"):
            return Negation(self._simple())
        if self._next_is("-"):
            self._at += 1
            if self._ended() or self._text[self._at].isspace():
                self._refuse("a minus stands directly before the condition that it negates; or write NOT")
            return Negation(self._simple())
        return self._simple()

    def _simple(self) -> Node:
        if self._next_is("("):
            return self._group()
        self._count()
        if self._next_is(*_QUOTES):
            return self._string()
        return self._comparison_or_word()

    def _group(self) -> Node:
        opened = self._at
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse(f"parentheses stand in each other at most {_DEEPEST} deep")
        self._take("(")
        node = self._expression()
        if not self._next_is(")"):
            raise self._source.refused(opened, "this parenthesis is not closed; add )")
        self._take(")")
        self._depth -= 1
        return node

    def _string(self) -> Search:
        found = self._quoted()
        if _OPERATOR.match(self._text, self._at):
            raise self._source.refused(found.at, "the name of a field stands before the operator, without quotes")
        return Search(found)

    def _comparison_or_word(self) -> Node:
        at = self._at
        path = self._path()
        operator = _OPERATOR.match(self._text, self._skipped())
        if operator is None:
            return self._search(at)
        self._at = operator.end()
        self._skip()
        return Comparison(path, Operator(operator[0]), self._value(), at)

    def _path(self) -> tuple[str, ...]:
        path = [self._word("a condition is missing here")]
        while self._next_is("."):
            self._at += 1
            path.append(self._key())
        return tuple(path)

    def _key(self) -> str:
        if not self._next_is(*_QUOTES):
            return self._word("a key is missing after the dot; a text with a dot needs quotes")
        key, self._at = quoted(self._source, self._at)
        if key.wild:
            raise self._source.refused(key.at, "a key takes no wildcards; for a star itself write \\*")
        return key.text

    def _search(self, at: int) -> Search:
        text = self._text[at : self._at]
        if any(quote in text for quote in _QUOTES):
            raise self._source.refused(at, f"an operator and a value are missing after this; {_OPERATORS}")
        if text.upper() in KEYWORDS:
            raise self._source.refused(at, f'write {text.upper()} in capitals, or "{text}" to search for the word')
        if self._next_is("("):
            raise self._source.refused(at, "functions are not taken; compare a field with a value")
        self._skip()
        return Search(unquoted(self._source, at, text))

    def _value(self) -> Literal:
        if self._next_is(*_QUOTES):
            return self._quoted()
        at = self._at
        if self._next_is("=", "<", ">"):
            self._refuse(_OPERATORS)
        found = _VALUE.match(self._text, at)
        if found is None or found[0] in KEYWORDS:
            self._refuse_here("a value is missing here; a text with spaces or special characters needs quotes")
        self._at = found.end()
        if not (self._ended() or self._text[self._at] in ") \t\r\n"):
            self._refuse_here("a value with this character needs quotes")
        self._skip()
        return unquoted(self._source, at, found[0])

    def _quoted(self) -> Literal:
        literal, self._at = quoted(self._source, self._at)
        if not (self._ended() or _OPERATOR.match(self._text, self._at) or self._text[self._at] in ") \t\r\n"):
            self._refuse("a space is missing after the string")
        self._skip()
        return literal

    def _word(self, missing: str) -> str:
        found = _WORD.match(self._text, self._at)
        if found is None or found[0] in KEYWORDS:
            self._refuse_here(missing)
        self._at = found.end()
        return found[0]

    def _count(self) -> None:
        self._terms += 1
        if self._terms > MOST_TERMS:
            self._refuse(f"a filter has at most {MOST_TERMS} comparisons and searches")

    def _takes_word(self, word: str) -> bool:
        if self._word_here() != word:
            return False
        self._at += len(word)
        self._skip()
        return True

    def _word_here(self) -> str:
        found = _WORD.match(self._text, self._at)
        return found[0] if found else ""

    def _next_is(self, *characters: str) -> bool:
        return self._text.startswith(characters, self._at)

    def _take(self, character: str) -> None:
        self._at += len(character)
        self._skip()

    def _skip(self) -> None:
        self._at = self._skipped()

    def _skipped(self) -> int:
        found = _SPACE.match(self._text, self._at)
        return found.end() if found else self._at

    def _ended(self) -> bool:
        return self._at == len(self._text)

    def _refuse_here(self, missing: str) -> NoReturn:
        here = self._text[self._at : self._at + 1]
        if here.isspace() and not _SPACE.fullmatch(here):
            self._refuse("write an ordinary space instead of this one")
        self._refuse(_INSTEAD.get(here, missing))

    def _refuse(self, problem: str) -> NoReturn:
        raise self._source.refused(self._at, problem)


def _joined(kind: Callable[[tuple[Node, ...]], Node], operands: list[Node]) -> Node:
    """Join the operands, those of operands of the same kind among them."""
    if len(operands) == 1:
        return operands[0]
    flat: list[Node] = []
    for operand in operands:
        flat += operand.operands if isinstance(operand, AllOf | AnyOf) and type(operand) is kind else [operand]
    return kind(tuple(flat))
