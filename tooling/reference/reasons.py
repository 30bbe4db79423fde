"""Finds the reasons of errors in the code, with the code that each is given with.

A reason is given by the call of an error class, of `Failure` or of `Decision`, as an argument that is a literal, a
choice between literals, a variable or constant of the module, or a parameter that callers in the module fill.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tenantmesh.interceptors import errors
from tenantmesh.interceptors.errors import MeshError

__all__ = ["Given", "given", "given_in"]

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("interceptors", "chassis", "tenant_svc", "auth_svc")
KINDS: Mapping[str, str] = {
    name: each.kind.value
    for name in errors.__all__
    if isinstance(each := getattr(errors, name), type) and issubclass(each, MeshError)
    if each is not MeshError
}
"""Error class → canonical code."""
_SOURCES = ("tenantmesh.interceptors", "tenantmesh.interceptors.errors")
_FAILURE = "Failure"
_DECISION = "Decision"

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Given:
    """A place that gives a reason."""

    code: str | None
    """The canonical code, or None for a decision, which is no error."""
    reason: str | None
    """The reason, or None when it can't be read off the code."""
    where: str
    """File and line."""


def given() -> Iterator[Given]:
    """Yield every place in the code that gives a reason."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield from given_in(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())


def given_in(source: str, name: str) -> Iterator[Given]:
    """Yield every place in the source text that gives a reason. The name is that of its file."""
    module = _Module(ast.parse(source))
    for call, scope in module.calls:
        made = module.made_by(call, scope)
        if made is not None:
            code, reason = made
            texts: list[str | None] = [*sorted(module.texts(reason, scope))] or [None]
            yield from (Given(code, each, f"{name}:{call.lineno}") for each in texts)


@dataclass(frozen=True, slots=True)
class _Scope:
    """The class and the function around a node."""

    class_name: str = ""
    function: _Function | None = None


class _Module:
    """A parsed file, and where its names come from."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self.calls = list(_calls(tree, _Scope()))
        self._imported: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                self._imported.update((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)
            elif isinstance(node, ast.Import):
                self._imported.update((each.asname or each.name, each.name) for each in node.names)

    def made_by(self, call: ast.Call, scope: _Scope) -> tuple[str | None, ast.expr | None] | None:
        """Return the code and the expression of the reason, or None for a call that gives none."""
        name = self._called(call.func, scope)
        if name in KINDS:
            return KINDS[name], _argument(call, 0, "reason")
        if name == _FAILURE:
            codes = self.texts(_argument(call, 0, "code"), scope)
            return next(iter(codes), None), _argument(call, 1, "reason")
        reason = _argument(call, 0, "reason")
        # The decision of a rate limiter has the same name, and no text.
        return (None, reason) if name == _DECISION and self.texts(reason, scope) else None

    def _called(self, function: ast.expr, scope: _Scope) -> str:
        """Return the name of the class that is called, or nothing when it is another class of that name."""
        if isinstance(function, ast.Name) and function.id == "cls":
            return scope.class_name
        path = ast.unparse(function)
        root, dot, rest = path.partition(".")
        origin = self._imported.get(root, "") + dot + rest if root in self._imported else path
        source, _, name = origin.rpartition(".")
        return name if not source or source in _SOURCES or name not in KINDS else ""

    def texts(self, value: ast.expr | None, scope: _Scope, through: frozenset[ast.AST] = frozenset()) -> set[str]:
        """Return the texts that the expression may be, without the empty one; nothing when they can't be read."""
        if isinstance(value, ast.Constant):
            return {value.value} if isinstance(value.value, str) and value.value else set()
        if isinstance(value, ast.IfExp):
            return self.texts(value.body, scope, through) | self.texts(value.orelse, scope, through)
        if isinstance(value, ast.BoolOp):
            return {text for each in value.values for text in self.texts(each, scope, through)}
        if isinstance(value, ast.Name):
            values = self._values(value.id, scope) if value not in through else ()
            return {text for each, where in values for text in self.texts(each, where, through | {value})}
        return set()

    def _values(self, name: str, scope: _Scope) -> Iterator[tuple[ast.expr, _Scope]]:
        """Yield the values of a variable: those of its function, of callers of that function, or else of the module."""
        function = scope.function
        if function is not None:
            found = [*_assigned(function, name)]
            parameters = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
            known = name in parameters or any(each.arg == name for each in function.args.kwonlyargs)
            if found or known:
                yield from ((each, scope) for each in found)
                yield from self._passed(function, parameters, name)
                return
        yield from ((each, _Scope()) for each in _assigned(self._tree, name))

    def _passed(self, function: _Function, parameters: list[str], name: str) -> Iterator[tuple[ast.expr, _Scope]]:
        """Yield the values that callers in the module pass as this parameter."""
        bound = parameters[:1] in (["self"], ["cls"])
        position = parameters.index(name) - bound if name in parameters else len(parameters)
        for call, scope in self.calls:
            if ast.unparse(call.func).rpartition(".")[2] == function.name:
                passed = _argument(call, position, name)
                if passed is not None:
                    yield passed, scope


def _calls(node: ast.AST, scope: _Scope) -> Iterator[tuple[ast.Call, _Scope]]:
    for child in ast.iter_child_nodes(node):
        within = scope
        if isinstance(child, ast.ClassDef):
            within = _Scope(child.name)
        elif isinstance(child, _Function):
            within = _Scope(scope.class_name, child)
        elif isinstance(child, ast.Call):
            yield child, scope
        yield from _calls(child, within)


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    by_name = [each.value for each in call.keywords if each.arg == name]
    return by_name[0] if by_name else call.args[position] if position < len(call.args) else None


def _assigned(tree: ast.Module | _Function, name: str) -> Iterator[ast.expr]:
    """Yield the values that statements give to the name; those of a module, without those of its functions."""
    for node in ast.walk(tree) if isinstance(tree, _Function) else tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(each, ast.Name) and each.id == name for each in node.targets
        ):
            yield node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            yield from [node.value] if node.value is not None else []
