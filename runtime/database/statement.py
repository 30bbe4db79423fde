"""SQL written with SQLAlchemy, compiled once at import for asyncpg.

    _BY_ID = compiled(select(TENANTS).where(TENANTS.c.tenant_id == bindparam("tenant_id")))

Not here: running them (`transaction`). Results are plain records: SQLAlchemy's result types do not apply, so a jsonb
column arrives as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Executable, make_url
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter, ClauseElement

__all__ = ["Statement", "compiled", "compiled_statements"]

_DIALECT = make_url("postgresql+asyncpg://").get_dialect()()

# A transaction belongs to one tenant from its first message to its last, and leaves nothing behind on its connection.
_FORBIDDEN = re.compile(
    r"app\.tenant_id|\bset_config\b|\bpg_(try_)?advisory_lock|^\s*(set|reset|discard|begin|start|commit|rollback|abort|end|savepoint|release)\b",
    re.IGNORECASE,
)

_Processor = Callable[[Any], Any]

_COMPILED: list[Statement] = []


class Statement:
    """SQL with positional parameters, and the names that callers use for them. Made by `compiled`.

    planned_anew: the server plans it for the values of each run. A connection does not keep it, so that statements of
        many shapes leave the place to those that run all the time. It costs a round trip more.
    """

    __slots__ = ("_fixed", "_names", "_processors", "_required", "planned_anew", "sql")

    def __init__(
        self,
        sql: str,
        names: tuple[str, ...],
        fixed: Mapping[str, Any],
        processors: Mapping[str, _Processor],
        *,
        planned_anew: bool = False,
    ) -> None:
        self.sql = sql
        self.planned_anew = planned_anew
        self._names = names
        self._fixed = dict(fixed)
        self._processors = dict(processors)
        self._required = frozenset(names) - self._fixed.keys()

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Return values in the statement's order. Raises TypeError naming parameters that are missing or unknown."""
        if values.keys() != self._required:
            raise TypeError(_mismatch(self._required, values.keys()))
        named = {**values, **self._fixed} if self._fixed else values
        if not self._processors:
            return [named[name] for name in self._names]
        return [self._processed(name, named[name]) for name in self._names]

    def explained(self) -> Statement:
        """Return the statement that returns this one's plan as JSON, and takes the same parameters."""
        explain = f"EXPLAIN (FORMAT JSON) {self.sql}"
        return Statement(explain, self._names, self._fixed, self._processors, planned_anew=self.planned_anew)

    def _processed(self, name: str, value: Any) -> Any:
        process = self._processors.get(name)
        return value if process is None or value is None else process(value)

    def __repr__(self) -> str:
        return f"<Statement {self.sql!r}>"


def compiled(executable: Executable, *, planned_anew: bool = False) -> Statement:
    """Compile a SQLAlchemy statement to asyncpg's SQL. Do it once, at import; for statements that depend on a call
    there is `StatementShapes`.

    Values inside the statement are bound too. Raises ValueError for what cannot be compiled once: `in_()` (use
    `any_()` with an array), defaults computed in Python, and anything that would end the transaction, change its tenant
    or outlive it.
    """
    if not isinstance(executable, ClauseElement):
        raise TypeError("compiled() takes a SQLAlchemy statement")
    result = executable.compile(dialect=_DIALECT)
    if not isinstance(result, SQLCompiler):
        raise ValueError("compiled() takes queries and DML; DDL belongs in a migration")
    _refuse_what_varies(result)
    sql = str(result)
    if _FORBIDDEN.search(sql):
        raise ValueError("a statement may neither end its transaction, nor change its tenant, nor outlive it")
    names = tuple(result.positiontup or ())
    binds = {name: result.binds[name] for name in names}
    fixed = {name: bind.effective_value for name, bind in binds.items() if not bind.required}
    statement = Statement(sql, names, fixed, _processors(binds), planned_anew=planned_anew)
    if not planned_anew:  # those are built for calls, and come and go
        _COMPILED.append(statement)
    return statement


def compiled_statements() -> tuple[Statement, ...]:
    """Return every statement that the imported modules have compiled, for tests of the plans that PostgreSQL makes."""
    return tuple(_COMPILED)


def _refuse_what_varies(result: SQLCompiler) -> None:
    if result.post_compile_params or result.literal_execute_params:
        raise ValueError("the SQL of in_() depends on its values; write column == any_(bindparam(..., ARRAY(...)))")
    if getattr(result, "insert_prefetch", ()) or getattr(result, "update_prefetch", ()):
        raise ValueError("column defaults computed in Python do not run here; pass the value as a parameter")


def _processors(binds: Mapping[str, BindParameter[Any]]) -> dict[str, _Processor]:
    found = {name: bind.type.dialect_impl(_DIALECT).bind_processor(_DIALECT) for name, bind in binds.items()}
    return {name: processor for name, processor in found.items() if processor is not None}


def _mismatch(required: frozenset[str], given: Any) -> str:
    missing, unknown = sorted(required - given), sorted(given - required)
    return f"the statement's parameters do not match: missing {missing}, unknown {unknown}"
