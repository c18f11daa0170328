"""Python runs this at its start when the folder is on PYTHONPATH: tell who writes in the lake's folders.

`WATCHED_FOLDERS` are folders, with `:` between them; `WATCH_LOG` is the file that gets a JSON line for each
file below them that is opened for writing, renamed or linked: what happened, the file, and the innermost
module of ours that did it.
"""

from __future__ import annotations

import json
import os
import sys
from types import FrameType
from typing import Any

OURS = ("rugs_", "parquet_writer", "legacy_importer", "legacy_writer", "capture_gateway")
WRITES_FOR_OTHERS = "rugs_core.files"
FOLDERS = tuple(f"{folder}/" for folder in os.environ.get("WATCHED_FOLDERS", "").split(":") if folder)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def module_of(frame: FrameType) -> str:
    """Return a frame's module; that of `python -m` by its name."""
    spec = frame.f_globals.get("__spec__")
    return str(getattr(spec, "name", None) or frame.f_globals.get("__name__"))


def who() -> str:
    """Return the innermost module of ours on the call stack that asks for a write, or the innermost of all."""
    frame: FrameType | None = sys._getframe(3)  # behind this function, `note` and the hook
    innermost = ""
    while frame is not None:
        module = module_of(frame)
        innermost = innermost or module
        if module.startswith(OURS) and module != WRITES_FOR_OTHERS:
            return module
        frame = frame.f_back
    return innermost


def note(event: str, *paths: Any) -> None:
    """Write down what happens to files below the watched folders."""
    named = [os.path.abspath(os.fsdecode(path)) for path in paths if not isinstance(path, int)]  # noqa: PTH100
    if any(path.startswith(FOLDERS) for path in named):
        told = {"event": event, "paths": named, "module": who(), "program": sys.argv[:1]}
        os.write(LOG, json.dumps(told).encode() + b"\n")


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Take Python's audit events."""
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & WRITING:
            note(event, path)
    elif event in ("os.rename", "os.link", "os.symlink"):
        note(event, arguments[0], arguments[1])
    elif event == "sqlite3.connect":
        path = os.fsdecode(arguments[0])
        if "mode=ro" not in path:
            note(event, path.removeprefix("file://").removeprefix("file:").partition("?")[0])


if FOLDERS:
    LOG = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    sys.addaudithook(hook)
