"""The sandbox of a DuckDB connection: it reads the lake's Parquet files and those that the user names, nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import duckdb

from rugs_lake.read.admission import RefusedError
from rugs_lake.store.paths import LakePaths

_Identity = tuple[int, int]
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*:/", re.IGNORECASE)

_SETTINGS: Final = (
    "python_enable_replacements = false",
    "autoload_known_extensions = false",
    "enable_external_access = false",
    "lock_configuration = true",
)


def close_in(connection: duckdb.DuckDBPyConnection, paths: LakePaths, files: Iterable[str] = ()) -> None:
    """Have a connection read the lake and these files only, from now on.

    `files` are names and patterns as a statement writes them. None may lie below the data root, whichever way it is
    spelled: through links of either kind, `..`, or another mount.

    Raises:
        RefusedError: if one does, or there is no such file.
    """
    allowed = [place for name in files for place in _own_files(connection, paths, name)]
    connection.execute(f"SET allowed_directories = {_texts([str(paths.data), str(paths.data.resolve())])}")
    connection.execute(f"SET allowed_paths = {_texts(allowed)}")
    for setting in _SETTINGS:
        connection.execute(f"SET {setting}")


def _own_files(connection: duckdb.DuckDBPyConnection, paths: LakePaths, name: str) -> list[str]:
    """Return what DuckDB has to be allowed so that it reads the files of a name or pattern."""
    if _ADDRESS.match(name):
        raise RefusedError(f"{name!r}: only files of this machine may be read, by their path")
    found = [file for (file,) in connection.execute("SELECT file FROM glob(?)", [name]).fetchall()]
    if not found:
        raise RefusedError(f"there is no file {name!r}")
    hidden = _hidden(paths)
    for file in found:
        if _is_hidden(Path(file), paths, hidden):
            raise RefusedError(f"{file!r} lies below the data folder, of which only the lake may be read")
    return [name, *found, *(str(Path(file).resolve()) for file in found)]


def _is_hidden(file: Path, paths: LakePaths, hidden: set[_Identity]) -> bool:
    """Return whether a file is below the data root and none of the lake's, by identity and not by name."""
    real = file.resolve()
    above = {identity for each in (real, *real.parents) if (identity := _identity(each))}
    return not above.isdisjoint(hidden) and _identity(paths.data) not in above


def _hidden(paths: LakePaths) -> set[_Identity]:
    """Return the identities of the data root and of all that is in it, except the lake's Parquet files."""
    found = {_identity(paths.root)}
    for folder, folders, names in os.walk(paths.root):
        if folder == str(paths.root) and paths.data.name in folders:
            folders.remove(paths.data.name)
        found.update(_identity(Path(folder, name)) for name in (*folders, *names))
    return {identity for identity in found if identity is not None}


def _identity(path: Path) -> _Identity | None:
    try:
        found = path.stat()
    except OSError:  # gone meanwhile, or a link to nowhere
        return None
    return found.st_dev, found.st_ino


def _texts(texts: Iterable[str]) -> str:
    """Return a list of texts as SQL writes it."""
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"
