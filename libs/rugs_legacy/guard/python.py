"""What must be gone from one Python file, by its syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from rugs_legacy.guard import names
from rugs_legacy.guard.flow import Flow


class Place(NamedTuple):
    """What was found, and the lines of the code that it was found in."""

    first: int
    last: int
    rule: str
    what: str


_OPENERS: Final = frozenset({"io", "os", "codecs", "gzip", "bz2", "lzma", "aiofiles", "zstandard"})
_WRITE_MODE: Final = re.compile(r"[rbtU]*[wax+]")
_OPEN_FLAGS: Final = frozenset({"O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND"})
_OF_PATHS: Final = frozenset({"write_text", "write_bytes", "touch", "mkdir"})
_TO_FIRST: Final = frozenset({"makedirs", "mkdir", "to_json", "to_csv", "to_parquet"})
_TO_SECOND: Final = frozenset({"copy", "copy2", "copyfile", "move", "rename", "replace", "dump"})
_SECOND_OF: Final = frozenset({"shutil", "os", "json", "simplejson", "ujson", "pickle", "yaml", "msgpack"})
_JSON: Final = frozenset({"dumps", "model_dump_json", "to_json"})
_PATHS: Final = frozenset({"Path", "PurePath", "join", "joinpath", "mkdir", "makedirs", "glob", "rglob", "open"})
_PATH_NAME: Final = re.compile(r"(?i)(?:dir|path|folder|root|file)$")


def places(tree: ast.Module) -> Iterator[Place]:
    """Give all that must be gone from a module."""
    flow = Flow(tree)
    prose = {id(node.value) for node in flow.nodes if isinstance(node, ast.Expr)}
    prose |= {id(part) for node in flow.nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    yield from _writes(flow)
    for node in flow.nodes:
        yield from _recorders(node)
        if isinstance(node, ast.expr) and id(node) not in prose and (said := _text(node)):
            yield from _named(node, said)
    yield from _folders(flow)


def _writes(flow: Flow) -> Iterator[Place]:
    """Give the calls that write recordings: into a file or folder that is named like one, or JSON line by line."""
    is_recording = flow.holding(_names_recording)
    is_written = flow.holding(lambda node: isinstance(node, ast.Call) and _opened(node) is not None)
    has_lines = any(map(_ends_line, flow.nodes))
    for node in flow.nodes:
        if not isinstance(node, ast.Call):
            continue
        target = _opened(node) or _written(node)
        if target is not None and is_recording(target):
            yield _place(node, names.WRITE, f"writes a recording: {_code(node)}")
        elif has_lines and (file := _json_line(node)) is not None and is_written(file):
            yield _place(node, names.WRITE, f"writes JSON to a file, line by line: {_code(node)}")


def _opened(call: ast.Call) -> ast.expr | None:
    """Return what a call opens so that it can be written to; None if it does not."""
    mode: ast.expr | None = next((each.value for each in call.keywords if each.arg in ("mode", "flags")), None)
    match call.func:
        case ast.Name(id="open"):
            place = 1
        case ast.Attribute(value=ast.Name(id=module), attr="open") if module in _OPENERS:
            place = 1
        case ast.Attribute(value=target, attr="open"):
            mode = mode or (call.args[0] if call.args else None)
            return target if _can_write(mode) else None
        case _:
            return None
    mode = mode or (call.args[place] if len(call.args) > place else None)
    files = [*call.args[:1], *(each.value for each in call.keywords if each.arg == "file")]
    return files[0] if files and _can_write(mode) else None


def _can_write(mode: ast.expr | None) -> bool:
    """Return whether a file that is opened in this mode can be written; one that only a run would tell can."""
    if mode is None:
        return False
    if isinstance(mode, ast.Constant):
        return isinstance(mode.value, str) and bool(_WRITE_MODE.match(mode.value))
    flags = {node.attr for node in ast.walk(mode) if isinstance(node, ast.Attribute) and node.attr.startswith("O_")}
    return not flags or not flags.isdisjoint(_OPEN_FLAGS)


def _written(call: ast.Call) -> ast.expr | None:
    """Return what a call makes or writes without opening it first; None if it does not."""
    match call:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=attr), args=[_, target, *_]) if (
            module in _SECOND_OF and attr in _TO_SECOND
        ):
            return target
        case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="mkdir" | "makedirs"), args=[target, *_]):
            return target
        case ast.Call(func=ast.Attribute(attr=attr), args=[target, *_]) if attr in _TO_FIRST and attr != "mkdir":
            return target
        case ast.Call(func=ast.Attribute(attr="rename" | "replace"), args=[target], keywords=[]):
            return target
        case ast.Call(func=ast.Attribute(value=target, attr=attr)) if attr in _OF_PATHS:
            return target
    return None


def _json_line(call: ast.Call) -> ast.expr | None:
    """Return the file that a call writes JSON to, one document among others; None if it does not."""
    match call:
        case ast.Call(func=ast.Attribute(value=file, attr="write" | "writelines"), args=[content]):
            said: list[ast.expr] = [content]
        case ast.Call(func=ast.Name(id="print"), args=said, keywords=keywords):
            files = [each.value for each in keywords if each.arg == "file"]
            if not files:
                return None
            file = files[0]
        case _:
            return None
    made = (node.func for each in said for node in ast.walk(each) if isinstance(node, ast.Call))
    return file if any(isinstance(each, ast.Attribute) and each.attr in _JSON for each in made) else None


def _ends_line(node: ast.AST) -> bool:
    """Return whether a call writes the end of a line."""
    match node:
        case ast.Call(func=ast.Name(id="print")):
            return True
        case ast.Call(func=ast.Attribute(attr="write" | "writelines"), args=[content]):
            inside = list(ast.walk(content))
            texts = (each.value for each in inside if isinstance(each, ast.Constant))
            options = (each.attr for each in inside if isinstance(each, ast.Attribute))
            return any(said in ("\n", b"\n") for said in texts) or any("NEWLINE" in option for option in options)
    return False


def _names_recording(node: ast.AST) -> bool:
    """Return whether a node alone says that something is where recordings lie."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return bool(names.RECORDING_WORD.search(name))
    said = _text(node)
    if said is None:
        return False
    patterns = (names.RECORDING_FILE, names.OLD_FOLDER, names.COMMON_FOLDER, names.SETTING_WORD)
    return any(pattern.search(said) for pattern in patterns)


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
        yield _place(node, names.RECORDER, f"imports the old recorder {module}")


def _is_recorder(module: str) -> bool:
    return not names.RECORDER_MODULES.isdisjoint(module.lstrip(".").split("."))


def _named(node: ast.expr, said: str) -> Iterator[Place]:
    """Give what a text names that must not be named."""
    if names.HOME_PATH.search(said):
        yield _place(node, names.HOME, f"a path of one machine: {said!r}")
    is_path = re.search(r"[/\\]", said) and not re.search(r"\s|://", said)
    if names.OLD_FOLDER.search(said) or (is_path and names.COMMON_FOLDER.search(said)):
        yield _place(node, names.FOLDER, f"an old recorder's folder: {said!r}")
    if names.SETTING_WORD.search(said):
        yield _place(node, names.SETTING, f"an old recorder's setting: {said!r}")


def _folders(flow: Flow) -> Iterator[Place]:
    """Give the ordinary words that are an old folder's name where they stand as a part of a path."""
    for node in flow.nodes:
        for part in _path_parts(node):
            said = _text(part)
            if said and not re.search(r"[/\\]", said) and names.COMMON_FOLDER.search(said):
                yield _place(part, names.FOLDER, f"an old recorder's folder: {said!r}")


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


def _text(node: ast.AST) -> str | None:
    """Return the text that a literal says; what an f-string puts in is ``{}``."""
    match node:
        case ast.Constant(value=str(said)):
            return said
        case ast.Constant(value=bytes(said)):
            return said.decode("latin-1")
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or "{}" for part in parts)
    return None


def _place(node: ast.stmt | ast.expr, rule: str, what: str) -> Place:
    return Place(node.lineno, node.end_lineno or node.lineno, rule, what)


def _code(node: ast.expr, longest: int = 80) -> str:
    said = ast.unparse(node)
    return said if len(said) <= longest else f"{said[: longest - 1]}…"
