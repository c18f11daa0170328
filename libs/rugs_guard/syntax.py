"""What is read off one node of a syntax tree: where it stands, its code, and the text that it says."""

from __future__ import annotations

import ast
from typing import NamedTuple


class Place(NamedTuple):
    """What was found, and the lines of the code that it was found in."""

    first: int
    last: int
    rule: str
    what: str


def place_of(node: ast.stmt | ast.expr, rule: str, what: str) -> Place:
    """Return a finding at a node."""
    return Place(node.lineno, node.end_lineno or node.lineno, rule, what)


def code_of(node: ast.expr, longest: int = 80) -> str:
    """Return a node's code, cut where it is long."""
    said = ast.unparse(node)
    return said if len(said) <= longest else f"{said[: longest - 1]}…"


def text_of(node: ast.AST) -> str | None:
    """Return the text that literals say, also put together; what else an f-string puts in is ``{}``."""
    match node:
        case ast.Constant(value=str(said)):
            return said
        case ast.Constant(value=bytes(said)):
            return said.decode("latin-1")
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) or "{}" for part in parts)
        case ast.FormattedValue(value=ast.Constant(value=str(said)), conversion=-1, format_spec=None):
            return said
        case ast.BinOp(op=ast.Add()):
            return _joined("", _added(node))
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(between)), attr="join"), args=[parts]):
            return _joined(between, parts.elts) if isinstance(parts, ast.List | ast.Tuple) else None
    return None


def _added(total: ast.expr) -> list[ast.expr]:
    """Return the parts of a sum: a long one is nested deep."""
    parts = []
    while isinstance(total, ast.BinOp) and isinstance(total.op, ast.Add):
        parts.append(total.right)
        total = total.left
    return [total, *reversed(parts)]


def _joined(between: str, parts: list[ast.expr]) -> str | None:
    texts = [text for part in parts if (text := text_of(part)) is not None]
    return between.join(texts) if len(texts) == len(parts) else None
