"""Looks through a producer's source tree: every file, its findings, and the lines that were excepted.

Python is judged by its syntax tree, and so is not what comments and docstrings say; of what configures, builds
and starts a program every line is judged by the names in it. Documents and data are not looked into.
"""

from __future__ import annotations

import ast
import io
import os
import re
import stat
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rugs_guard import names, python
from rugs_guard.names import Finding
from rugs_guard.syntax import Place

ALLOW: Final = re.compile(r"(?:#|//|--|;|<!--|/\*|\brem\b)\s*rugs:\s*allow\b", re.IGNORECASE)
"""The comment that excepts its line."""

_PYTHON: Final = frozenset({".py", ".pyw", ".pyi"})
_JAVASCRIPT: Final = frozenset({".js", ".ts"})
_TEXT: Final = frozenset(
    {".bat", ".bash", ".cfg", ".cmd", ".conf", ".desktop", ".env", ".fish", ".html", ".ini", ".ipynb", ".js", ".json"}
    | {".plist", ".properties", ".ps1", ".service", ".sh", ".spec", ".sql", ".timer", ".toml", ".ts", ".xml"}
    | {".yaml", ".yml", ".zsh"}
)
_NAMES: Final = frozenset({"dockerfile", "makefile", "justfile", "procfile", "containerfile"})
_LEFT_OUT: Final = frozenset(
    {".git", ".hg", ".svn", ".idea", ".tox", ".nox", ".venv", "venv", "node_modules", "__pycache__", "site-packages"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"}
)
_LARGEST: Final = 4 << 20
"""Bytes above which a file that is not Python is data."""


@dataclass
class Report:
    """What was found in a folder, in the order of files and lines.

    `sources` of the files are Python or JavaScript: a folder without any is not a producer's.
    """

    files: int = 0
    sources: int = 0
    allowed: int = 0
    findings: list[Finding] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON says it."""
        found = [{**each._asdict(), "instead": each.instead} for each in self.findings]
        return {"ok": self.sources > 0 and not found, "files": self.files, "allowed": self.allowed, "findings": found}


def check(folder: Path) -> Report:
    """Look through every file below a folder; nothing is written, nothing imported or run.

    Raises:
        OSError: if the folder itself cannot be read.
    """
    report = Report()
    unread: list[OSError] = []
    for path in _files(folder, unread):
        try:
            found, allowed = _in_file(path)
        except OSError as error:
            unread.append(error)
            continue
        if found is None:
            continue
        report.files += 1
        report.sources += _is_python(path) or path.suffix.lower() in _JAVASCRIPT
        report.allowed += allowed
        name = path.relative_to(folder).as_posix()
        places = sorted(dict.fromkeys((each.first, each.rule, each.what) for each in found))
        report.findings += [Finding(name, *place) for place in places]
    for failure in unread:
        where = Path(str(failure.filename))
        if where == folder:
            raise failure
        name = where.relative_to(folder).as_posix()
        report.findings.append(Finding(name, 1, names.UNREADABLE, f"cannot be read: {failure.strerror}"))
    return report


def _files(folder: Path, unread: list[OSError]) -> Iterator[Path]:
    """Give the files below a folder, in order; not those of tools and of virtual environments."""
    for where, folders, files in os.walk(folder, onerror=unread.append):
        at = Path(where)
        folders[:] = sorted(
            each for each in folders if each not in _LEFT_OUT and not (at / each / "pyvenv.cfg").exists()
        )
        yield from (at / each for each in sorted(files))


def _in_file(path: Path) -> tuple[list[Place] | None, int]:
    """Return what was found in a file, and how many findings its comments except; None if it is not looked into."""
    kind, name = path.suffix.lower(), path.name.lower()
    told = path.stat()
    if not stat.S_ISREG(told.st_mode):
        return None, 0
    is_python = _is_python(path)
    is_text = kind in _TEXT or name in _NAMES or name.startswith((".env", "dockerfile.")) or not kind
    if not is_python and (not is_text or told.st_size > _LARGEST):
        return None, 0
    content = path.read_bytes()
    if not is_python:
        return _excepted(list(_in_text(content)), _allowed_lines(content))
    try:
        found, allowed = list(_in_python(content)), _allowed_lines(_comments(content))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError) as error:
        line = getattr(error, "lineno", None) or 1
        reason = getattr(error, "msg", None) or str(error) or type(error).__name__
        found = [Place(line, line, names.UNREADABLE, f"does not parse: {reason}"), *_in_text(content)]
        allowed = _allowed_lines(content)
    if path.stem in names.RECORDER_MODULES:
        found.append(Place(1, 1, names.RECORDER, f"the old recorder {path.stem}"))
    return _excepted(found, allowed)


def _is_python(path: Path) -> bool:
    if path.suffix:
        return path.suffix.lower() in _PYTHON
    with path.open("rb") as file:
        return bool(re.match(rb"#!.*\bpython", file.readline(200)))


def _in_python(content: bytes) -> Iterator[Place]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Python thinks of the text's escapes is no matter of ours
        tree = ast.parse(content)
    yield from python.places(tree)


def _in_text(content: bytes) -> Iterator[Place]:
    if b"\0" in content:
        return  # not a text
    rules = (
        (names.HOME_PATH, names.HOME, "a path of one machine"),
        (names.OLD_FOLDER, names.FOLDER, "an old recorder's folder"),
        (names.SETTING_WORD, names.SETTING, "an old recorder's setting"),
        (names.RECORDER_WORD, names.RECORDER, "an old recorder"),
    )
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        for pattern, rule, what in rules:
            if found := pattern.search(line):
                yield Place(number, number, rule, f"{what}: {found[0]!r}")


def _comments(content: bytes) -> bytes:
    """Return a Python file with its comments only, each on its line."""
    if b"rugs" not in content or not ALLOW.search(content.decode("latin-1")):
        return b""
    lines: dict[int, str] = {}
    for token in tokenize.tokenize(io.BytesIO(content).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0]] = token.string
    return "\n".join(lines.get(number, "") for number in range(1, max(lines, default=0) + 1)).encode()


def _allowed_lines(content: bytes) -> set[int]:
    lines = content.decode(errors="replace").splitlines()
    return {number for number, line in enumerate(lines, start=1) if ALLOW.search(line)}


def _excepted(found: list[Place], allowed: set[int]) -> tuple[list[Place], int]:
    """Return what no comment excepts, and how much the comments do: one on any line of the code counts."""
    left = [each for each in found if allowed.isdisjoint(range(each.first, each.last + 1))]
    return left, len(found) - len(left)
