"""Which names of a module hold something: a path of a recording, a file that is open for writing.

A value goes from name to name by assignment, `with`, `for`, default, argument and return value, within one module.
The order of statements does not matter, nor which object an attribute is of: a name that once may hold the thing
holds it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Final

Key = tuple[int, str]
"""A name: the scope that binds it (0 is the module), or `_ATTRIBUTE`."""
Seed = Callable[[ast.AST], bool]
"""Whether a node of an expression is the thing itself."""

_MODULE: Final = 0
_ATTRIBUTE: Final = -1
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_ENDS: Final = frozenset(
    {"len", "load", "loads", "read", "read_text", "read_bytes", "readline", "readlines", "stat", "exists", "is_file"}
    | {"is_dir", "int", "float", "bool", "dumps", "isoformat", "strftime", "warning", "info", "debug", "error"}
)
"""Calls that return something else than what they are given."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Flow:
    """How values go from name to name in a module."""

    def __init__(self, tree: ast.Module) -> None:
        self._chains: dict[int, tuple[int, ...]] = {}
        self._elsewhere: dict[Key, int] = {}
        self._functions: dict[str, list[Function]] = {}
        self._in_class: set[int] = set()
        self.nodes = list(self._walk(tree))
        pairs = [(self._keys(target), value) for target, value in self._assignments()]
        pairs += [([key], value) for key, value in self._arguments()]
        self._bound = {key for keys, _ in pairs for key in keys} | self._parameters()
        self._pairs = [(keys, value, self._names(value)) for keys, value in pairs]

    def holding(self, seed: Seed) -> Callable[[ast.expr], bool]:
        """Return the question whether an expression may be, or be made of, what `seed` knows."""
        marked = {key for keys, value, _ in self._pairs if any(map(seed, _inside(value))) for key in keys}
        grown = True
        while grown:
            grown = False
            for keys, _, names in self._pairs:
                if not marked.isdisjoint(names) and not marked.issuperset(keys):
                    marked.update(keys)
                    grown = True
        return lambda value: any(map(seed, _inside(value))) or not marked.isdisjoint(self._names(value))

    def _walk(self, tree: ast.Module) -> Iterator[ast.AST]:
        waiting: list[tuple[ast.AST, tuple[int, ...]]] = [(tree, (_MODULE,))]
        while waiting:
            node, chain = waiting.pop()
            self._chains[id(node)] = chain
            yield node
            if isinstance(node, _FUNCTIONS):
                self._functions.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.ClassDef):
                self._in_class.update(id(each) for each in node.body)
                made = [each for each in node.body if isinstance(each, _FUNCTIONS) and each.name == "__init__"]
                self._functions.setdefault(node.name, []).extend(made)
            elif isinstance(node, ast.Global | ast.Nonlocal):
                for name in node.names:
                    self._elsewhere[chain[0], name] = _MODULE if isinstance(node, ast.Global) else chain[1]
            inner = (id(node), *chain) if isinstance(node, (*_FUNCTIONS, ast.Lambda)) else chain
            waiting += [(child, inner) for child in ast.iter_child_nodes(node)]

    def _assignments(self) -> Iterator[tuple[ast.AST, ast.expr]]:
        for node in self.nodes:
            match node:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        yield from self._assigned(node, target, value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    yield from self._assigned(node, target, value)
                case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
                    yield target, value
                case (
                    ast.For(target=target, iter=value)
                    | ast.AsyncFor(target=target, iter=value)
                    | ast.comprehension(target=target, iter=value)
                ):
                    yield target, value
                case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
                    yield target, value

    def _assigned(self, node: ast.stmt, target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.AST, ast.expr]]:
        yield target, value
        if id(node) in self._in_class and isinstance(target, ast.Name):
            yield ast.Attribute(ast.Name("self"), target.id), value

    def _arguments(self) -> Iterator[tuple[Key, ast.expr]]:
        """Give what parameters are given, and what functions return, where the function is in this module."""
        for node in self.nodes:
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                    for function in self._functions.get(name, ()):
                        is_method = id(function) in self._in_class and not _is_static(function)
                        yield from _given(function, node, is_method=is_method)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    yield from _defaults(node)
                case ast.Return(value=ast.expr() as value):
                    yield from self._returned(self._chains[id(node)][0], value)

    def _returned(self, function_id: int, value: ast.expr) -> Iterator[tuple[Key, ast.expr]]:
        for name, functions in self._functions.items():
            if any(id(each) == function_id for each in functions) and name != "__init__":
                for function in functions:
                    yield (self._chains[id(function)][0], name), value
                yield (_ATTRIBUTE, name), value

    def _parameters(self) -> set[Key]:
        return {
            (id(node), argument.arg)
            for node in self.nodes
            if isinstance(node, (*_FUNCTIONS, ast.Lambda))
            for argument in ast.walk(node.args)
            if isinstance(argument, ast.arg)
        }

    def _keys(self, target: ast.AST) -> list[Key]:
        """Return the names that an assignment to `target` changes."""
        match target:
            case ast.Name(id=name):
                scope = self._chains[id(target)][0]
                return [(self._elsewhere.get((scope, name), scope), name)]
            case ast.Attribute(attr=name):
                return [(_ATTRIBUTE, name)]
            case ast.Subscript(value=value) | ast.Starred(value=value):
                return self._keys(value)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return [key for part in parts for key in self._keys(part)]
        return []

    def _names(self, value: ast.expr) -> set[Key]:
        """Return the names that an expression is made of."""
        found: set[Key] = set()
        for node in _inside(value):
            if isinstance(node, ast.Attribute):
                found.add((_ATTRIBUTE, node.attr))
            elif isinstance(node, ast.Name):
                scopes = (scope for scope in self._chains[id(node)] if (scope, node.id) in self._bound)
                found.update((scope, node.id) for scope in [next(scopes, None)] if scope is not None)
        return found


def _is_static(function: Function) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in function.decorator_list)


def _defaults(function: Function) -> Iterator[tuple[Key, ast.expr]]:
    spec = function.args
    positional = [*spec.posonlyargs, *spec.args]
    for argument, value in zip(reversed(positional), reversed(spec.defaults), strict=False):
        yield (id(function), argument.arg), value
    for argument, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
        if default is not None:
            yield (id(function), argument.arg), default


def _given(function: Function, call: ast.Call, *, is_method: bool) -> Iterator[tuple[Key, ast.expr]]:
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)][is_method:]
    for name, value in zip(names, call.args, strict=False):
        yield (id(function), name), value
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield (id(function), keyword.arg), keyword.value


def _inside(value: ast.expr) -> Iterator[ast.AST]:
    """Give an expression's nodes; of calls that return something else than what they are given, nothing within."""
    waiting: list[ast.AST] = [value]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _ENDS:
                yield node
                continue
            case ast.Lambda():
                continue
        yield node
        waiting += ast.iter_child_nodes(node)
