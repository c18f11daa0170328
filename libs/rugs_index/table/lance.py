"""LanceDB, imported when it is first needed and without what it loads for remote catalogs, run from plain functions.

A plain `import lancedb` takes seconds. Most of that is spent on thousands of pydantic models of a REST client
(`lance_namespace`), and on `overrides`, which reads the byte code of every method that it decorates. Nothing of both
is used with tables in a folder. So while LanceDB is imported, empty classes take the place of the REST client, and
`override` is that of `typing_extensions`, as LanceDB itself has it from Python 3.12 on. Afterwards the names are free
again: who imports these packages gets the real ones.
"""

from __future__ import annotations

import importlib
import importlib.abc
import os
import sys
import threading
from collections.abc import Coroutine, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import typing_extensions

from rugs_index.table.errors import REBUILD, IndexBusyError, IndexDamagedError, IndexTableError

_REMOTE: Final = frozenset({"lance_namespace", "lance_namespace_urllib3_client"})
_OVERRIDES: Final = "overrides"
_LOG_LEVEL: Final = "LANCEDB_LOG"
_IMPORTING: Final = threading.Lock()
_CONFLICTS: Final = ("commit conflict", "Retryable", "concurrent")
_PANICS: Final = frozenset({"PanicException", "RustPanic"})
"""What Rust code raises that did not expect the content of a file."""
_FULL: Final = ("No space left", "Disk quota", "Too many open files")
_T = TypeVar("_T")


class IndexConflictError(IndexTableError):
    """Another commit got between; the same again may work now."""

    retryable = True


def lancedb() -> Any:
    """Return the module `lancedb`, imported on the first call.

    Raises:
        IndexTableError: if it is not installed.
    """
    if (module := sys.modules.get("lancedb")) is not None and hasattr(module, "connect_async"):
        return module
    os.environ.setdefault(_LOG_LEVEL, "error")  # its warnings are for those who develop it
    with _IMPORTING:
        finder = _Finder()
        sys.meta_path.insert(0, finder)
        try:
            return importlib.import_module("lancedb")
        except ModuleNotFoundError as error:
            raise IndexTableError(f"{error.name} is not installed: run `rugs index setup`") from error
        finally:
            sys.meta_path.remove(finder)
            for name in [name for name, each in sys.modules.items() if isinstance(each, _StandIn)]:
                del sys.modules[name]


def part(name: str) -> Any:
    """Return a module of LanceDB: `expr`, `index` or `query`."""
    lancedb()
    return importlib.import_module(f"lancedb.{name}")


def run(work: Coroutine[Any, Any, _T], where: Path) -> _T:
    """Run LanceDB's work on its own event loop, and wait for the result. Any thread without a loop of its own may call.

    Args:
        where: what the work reads or writes, for messages.

    Raises:
        IndexConflictError: if another commit got between.
        IndexBusyError: if the disk is full, or no file handle is left.
        IndexDamagedError: if files are missing or not whole.
    """
    try:
        result: _T = part("background_loop").LOOP.run(work)
    except (RuntimeError, ValueError, OSError) as error:
        raise _error(error, where) from error
    except BaseException as error:
        if type(error).__name__ in _PANICS:
            raise _error(error, where) from error
        raise
    return result


def _error(error: BaseException, where: Path) -> IndexTableError:
    told = str(error)
    line = (told.splitlines() or [type(error).__name__])[0][:300]
    if any(each in told for each in _FULL):
        return IndexBusyError(f"{where}: {line}")
    if any(each in told for each in _CONFLICTS):
        return IndexConflictError(f"{where}: {line}")
    return IndexDamagedError(f"the index in {where} cannot be used: {line}; {REBUILD}")


class _StandIn(ModuleType):
    """A module that has every class that is asked of it, empty."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        base = Exception if name.endswith("Error") else object
        made = type(name, (base,), {"__module__": self.__name__})
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds stand-ins for what LanceDB imports and tables in a folder never use."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a stand-in; None for every other module."""
        wanted = fullname == _OVERRIDES or fullname.partition(".")[0] in _REMOTE
        return ModuleSpec(fullname, self, is_package=True) if wanted else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the stand-in."""
        module = _StandIn(spec.name)
        if spec.name == _OVERRIDES:
            vars(module).update(override=typing_extensions.override)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: there is nothing to load."""
