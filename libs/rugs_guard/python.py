"""What must be gone from one Python file, by its syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from rugs_guard import names
from rugs_guard.flow import Flow
from rugs_guard.syntax import Place, place_of, text_of
from rugs_guard.writes import writes

_PATHS: Final = frozenset({"Path", "PurePath", "join", "joinpath", "mkdir", "makedirs", "glob", "rglob", "open"})
_PATH_NAME: Final = re.compile(r"(?i)(?:dir|path|folder|root|file)$")


def places(tree: ast.Module) -> Iterator[Place]:
    """Give all that must be gone from a module."""
    flow = Flow(tree)
    said_already = {id(node.value) for node in flow.nodes if isinstance(node, ast.Expr)}  # what docstrings say is not
    yield from writes(flow)
    for node in flow.nodes:  # what is made of others comes before them
        yield from _recorders(node)
        if isinstance(node, ast.expr) and id(node) not in said_already and (said := text_of(node)) is not None:
            said_already.update(map(id, ast.walk(node)))
            yield from _named(node, said)
    yield from _folders(flow)


def _recorders(node: ast.AST) -> Iterator[Place]:
    """Give what makes or imports an old recorder."""
    found: list[str] = []
    match node:
        case ast.Import(names=imported):
            found = [each.name for each in imported if _is_recorder(each.name)]
        case ast.ImportFrom(module=module, names=imported):
            if module and _is_recorder(module):
                found = [module]
            else:
                wanted = names.RECORDER_MODULES | names.RECORDER_CLASSES
                found = [each.name for each in imported if each.name in wanted]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.Constant(value=str(module)), *_]):
            found = [module] if name in ("import_module", "__import__") and _is_recorder(module) else []
        case ast.ClassDef(name=name) if name in names.RECORDER_CLASSES:
            yield Place(node.lineno, node.lineno, names.RECORDER, f"the old recorder {name}")
    for module in found:
        assert isinstance(node, ast.stmt | ast.expr)  # noqa: S101 - it was matched above
        yield place_of(node, names.RECORDER, f"imports the old recorder {module}")


def _is_recorder(module: str) -> bool:
    return not names.RECORDER_MODULES.isdisjoint(module.lstrip(".").split("."))


def _named(node: ast.expr, said: str) -> Iterator[Place]:
    """Give what a text names that must not be named."""
    if names.HOME_PATH.search(said):
        yield place_of(node, names.HOME, f"a path of one machine: {said!r}")
    is_path = re.search(r"[/\\]", said) and not re.search(r"\s|://", said)
    if names.OLD_FOLDER.search(said) or (is_path and names.COMMON_FOLDER.search(said)):
        yield place_of(node, names.FOLDER, f"an old recorder's folder: {said!r}")
    if names.SETTING_WORD.search(said):
        yield place_of(node, names.SETTING, f"an old recorder's setting: {said!r}")


def _folders(flow: Flow) -> Iterator[Place]:
    """Give the ordinary words that are an old folder's name where they stand as a part of a path."""
    for node in flow.nodes:
        for part in _path_parts(node):
            said = text_of(part)
            if said and not re.search(r"[/\\]", said) and names.COMMON_FOLDER.search(said):
                yield place_of(part, names.FOLDER, f"an old recorder's folder: {said!r}")


def _path_parts(node: ast.AST) -> list[ast.expr]:
    """Return what stands in a node as a part of a path."""
    match node:
        case ast.BinOp(op=ast.Div(), left=left, right=right):
            return [left, right]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=given) if name in _PATHS:
            return given
        case (
            ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=value)
            | ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name), value=ast.expr() as value)
            | ast.keyword(arg=str(name), value=value)
        ):
            return [value] if _PATH_NAME.search(name) else []
        case ast.arguments(args=arguments, defaults=defaults):
            ends = zip(reversed(arguments), reversed(defaults), strict=False)
            return [value for argument, value in ends if _PATH_NAME.search(argument.arg)]
    return []
