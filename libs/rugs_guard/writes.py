"""The calls of a module that write recordings: to what is named like one, or JSON line by line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from rugs_guard import names
from rugs_guard.flow import Flow
from rugs_guard.syntax import Place, code_of, place_of, text_of

_OPENERS: Final = frozenset({"io", "os", "codecs", "gzip", "bz2", "lzma", "aiofiles", "zstandard", "jsonlines"})
_WRITE_MODE: Final = re.compile(r"[rbtU]*[wax+]")
_OPEN_FLAGS: Final = frozenset({"O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND"})
_OF_PATHS: Final = frozenset({"write_text", "write_bytes", "touch", "mkdir"})
_TO_FIRST: Final = frozenset(
    {"makedirs", "to_json", "to_csv", "to_parquet", "to_feather", "to_pickle", "write_parquet", "write_ndjson"}
    | {"ParquetWriter", "FileHandler", "RotatingFileHandler", "TimedRotatingFileHandler", "WatchedFileHandler"}
)
_TO_SECOND: Final = frozenset({"copy", "copy2", "copyfile", "move", "rename", "replace", "dump"})
_SECOND_OF: Final = frozenset({"shutil", "os", "json", "simplejson", "ujson", "pickle", "yaml", "msgpack"})
_TABLES_TO_SECOND: Final = frozenset({"write_table", "write_feather", "write_csv"})
_DATABASES: Final = frozenset({"sqlite3", "aiosqlite", "duckdb", "apsw"})
_JSON: Final = frozenset({"dumps", "model_dump_json", "to_json"})


class _Written(NamedTuple):
    """What a call writes to a file: `all_of_it` where the call is the whole file, `is_line` where it ends a line."""

    file: ast.expr
    content: list[ast.expr]
    is_line: bool = False
    all_of_it: bool = False


def writes(flow: Flow) -> Iterator[Place]:
    """Give the calls that write recordings."""
    is_recording = flow.holding(_names_recording)
    is_written = flow.holding(lambda node: isinstance(node, ast.Call) and _opened(node) is not None)
    is_json = flow.holding(_is_json)
    ends_line = flow.holding(_ends_line)
    reported: set[int] = set()
    calls = [node for node in flow.nodes if isinstance(node, ast.Call)]
    written = [(call, found) for call in calls if (found := _written_to(call)) is not None]
    in_lines = {ast.unparse(found.file) for _, found in written if found.is_line or any(map(ends_line, found.content))}
    for call in calls:
        target = _opened(call) or _made(call)
        if target is not None and is_recording(target):
            reported.add(id(call))
            yield place_of(call, names.WRITE, f"writes a recording: {code_of(call)}")
        elif _is_of_jsonlines(call):
            yield place_of(call, names.WRITE, f"writes JSON to a file, line by line: {code_of(call)}")
    for call, found in written:
        if id(call) in reported:
            continue
        if found.all_of_it:
            is_found = any(_joins_lines(part) and is_json(part) for part in found.content)
        else:
            is_found = any(map(is_json, found.content)) and ast.unparse(found.file) in in_lines
            is_found = is_found and is_written(found.file)
        if is_found:
            yield place_of(call, names.WRITE, f"writes JSON to a file, line by line: {code_of(call)}")


def _opened(call: ast.Call) -> ast.expr | None:
    """Return what a call opens so that it can be written to; None if it does not."""
    mode: ast.expr | None = next((each.value for each in call.keywords if each.arg in ("mode", "flags")), None)
    match call.func:
        case ast.Name(id="open" | "fdopen") | ast.Attribute(value=ast.Name(id="os"), attr="fdopen"):
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


def _made(call: ast.Call) -> ast.expr | None:
    """Return what a call makes or writes without opening it first; None if it does not."""
    match call:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=attr), args=[_, target, *_]) if (
            module in _SECOND_OF and attr in _TO_SECOND
        ):
            return target
        case ast.Call(func=ast.Name(id=attr) | ast.Attribute(attr=attr), args=[_, target, *_]) if (
            attr in _TABLES_TO_SECOND
        ):
            return target
        case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="mkdir"), args=[target, *_]):
            return target
        case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr="connect"), args=[target, *_]) if (
            module in _DATABASES
        ):
            return None if any(each.arg == "read_only" for each in call.keywords) else target
        case ast.Call(func=ast.Name(id=attr) | ast.Attribute(attr=attr), args=[target, *_]) if (
            attr in _TO_FIRST or attr == "write_csv"
        ):
            return target
        case ast.Call(func=ast.Attribute(attr="rename" | "replace"), args=[target], keywords=[]):
            return target
        case ast.Call(func=ast.Attribute(value=target, attr=attr)) if attr in _OF_PATHS:
            return target
        case ast.Call(func=ast.Name(id=attr) | ast.Attribute(attr=attr), keywords=keywords) if (
            attr in _TO_FIRST or attr == "basicConfig"
        ):
            return next((each.value for each in keywords if each.arg in ("filename", "where", "path_or_buf")), None)
    return None


def _written_to(call: ast.Call) -> _Written | None:
    """Return what a call writes to a file, one thing among others or all of it; None if it does not."""
    match call:
        case ast.Call(func=ast.Attribute(value=file, attr="write" | "writelines"), args=[content]):
            return _Written(file, [content])
        case ast.Call(func=ast.Attribute(value=file, attr="write_text" | "write_bytes"), args=[content, *_]):
            return _Written(file, [content], all_of_it=True)
        case ast.Call(func=ast.Attribute(attr="dump"), args=[_, file, *_]) if _is_one_line(call):
            return _Written(file, [call])
        case ast.Call(func=ast.Name(id="print"), args=said, keywords=keywords):
            files = [each.value for each in keywords if each.arg == "file"]
            return _Written(files[0], said, is_line=True) if files else None
    return None


def _is_json(node: ast.AST) -> bool:
    """Return whether a node is JSON on one line."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr="dump")) if module in _SECOND_OF:
            return module.endswith("json") and _is_one_line(node)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _JSON:
            return _is_one_line(node)
        case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id=name) | ast.Attribute(attr=name), *_]):
            return name in _JSON
    return False


def _is_one_line(call: ast.Call) -> bool:
    indents = (each.value for each in call.keywords if each.arg == "indent")
    return all(isinstance(each, ast.Constant) and each.value is None for each in indents)


def _ends_line(node: ast.AST) -> bool:
    """Return whether a node is the end of a line, or says that there is to be one."""
    match node:
        case ast.Constant(value=str(said)):
            return said.endswith("\n")
        case ast.Constant(value=bytes(said)):
            return said.endswith(b"\n")
        case ast.Attribute(attr="linesep"):
            return True
        case ast.Call(keywords=keywords):  # orjson's option
            options = (each for keyword in keywords for each in ast.walk(keyword.value))
            return any(isinstance(each, ast.Attribute) and "NEWLINE" in each.attr for each in options)
    return False


def _joins_lines(content: ast.expr) -> bool:
    """Return whether lines are put together in an expression."""
    joins = (node for node in ast.walk(content) if isinstance(node, ast.Attribute) and node.attr == "join")
    return any(_ends_line(node.value) for node in joins)


def _is_of_jsonlines(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id="jsonlines"), attr="open"):
            return _opened(call) is not None
        case ast.Attribute(value=ast.Name(id="jsonlines"), attr="Writer"):
            return True
    return False


def _names_recording(node: ast.AST) -> bool:
    """Return whether a node alone says that something is where recordings lie."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return bool(names.RECORDING_WORD.search(name))
    said = text_of(node)
    if said is None:
        return False
    patterns = (
        *(names.RECORDING_FILE, names.RECORDING_TABLE, names.OLD_FOLDER, names.COMMON_FOLDER),
        names.SETTING_WORD,
    )
    return any(pattern.search(said) for pattern in patterns)
