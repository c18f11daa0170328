"""Where the index lies under the data root, which of its tables is the live one, and who may write."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rugs_core.files import make_folder, write_durably
from rugs_core.locks import lock, try_lock
from rugs_index.table.errors import REBUILD, IndexAbsentError, IndexBusyError, IndexDamagedError, IndexReplacedError
from rugs_index.table.identity import IndexIdentity

FOLDER: Final = "vectors"
_NAME: Final = re.compile(r"chunks_([0-9a-f]{32})")
_TABLE_END: Final = ".lance"


@dataclass(frozen=True)
class Current:
    """The live table.

    Attributes:
        store: id of the table's content; a table that is built anew has another.
        previous: the store that was live before, which readers may still have open; None: there is none.
    """

    store: str
    identity: IndexIdentity
    previous: str | None = None

    @property
    def table(self) -> str:
        """The table's name in the database."""
        return table_name(self.store)


@dataclass(frozen=True)
class IndexPaths:
    """The folders and files of the index under one data root."""

    root: Path

    @property
    def folder(self) -> Path:
        """Everything of the index."""
        return self.root.absolute() / FOLDER

    @property
    def database(self) -> Path:
        """The LanceDB database."""
        return self.folder / "db"

    @property
    def current_file(self) -> Path:
        """JSON that says which table is the live one."""
        return self.folder / "CURRENT"

    def table(self, store: str) -> Path:
        """The folder of a table."""
        return self.database / f"{table_name(store)}{_TABLE_END}"

    def create(self) -> None:
        """Make the folders, durably."""
        make_folder(self.database)

    def current(self) -> Current:
        """Return what `CURRENT` says.

        Raises:
            IndexAbsentError: if it is not there.
            IndexDamagedError: if it says nothing that can be used.
        """
        try:
            told = json.loads(self.current_file.read_bytes())
            name, previous = told["table"], told.get("previous")
            matches = [_NAME.fullmatch(each) for each in (name, previous) if each is not None]
            if not matches or not all(matches):
                raise ValueError("it names no table")
            stores = [match[1] for match in matches if match is not None]
            return Current(stores[0], IndexIdentity.from_dict(told["identity"]), stores[1] if previous else None)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise IndexAbsentError(f"there is no index in {self.root}: run `rugs index update`") from error
        except OSError as error:
            raise IndexDamagedError(f"{self.current_file} cannot be read: {error.strerror}; {REBUILD}") from error
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise IndexDamagedError(f"{self.current_file} is damaged: {error}; {REBUILD}") from error

    def make_current(self, current: Current) -> None:
        """Make a table the live one, durably."""
        previous = current.previous and table_name(current.previous)
        told = {
            "table": current.table,
            "store": current.store,
            "previous": previous,
            "identity": current.identity.as_dict(),
        }
        write_durably(self.current_file, json.dumps(told, indent=2).encode() + b"\n")

    def stores(self) -> set[str]:
        """Return the stores of all tables on disk, live or not, whole or not."""
        names = (path.name.removesuffix(_TABLE_END) for path in self.database.glob(f"*{_TABLE_END}"))
        return {match[1] for name in names if (match := _NAME.fullmatch(name)) is not None}

    def remove(self, store: str) -> None:
        """Remove a table's folder, whole or not."""
        shutil.rmtree(self.table(store), ignore_errors=True)

    @contextmanager
    def writing(self, store: str | None = None) -> Iterator[None]:
        """Hold the index for one commit, while no other process commits; wait for it.

        Args:
            store: must be the live one; None: any.

        Raises:
            IndexAbsentError: if the index was deleted.
            IndexReplacedError: if another table is the live one.
        """
        try:
            file = (self.folder / ".write.lock").open("ab")
        except OSError as error:
            raise IndexAbsentError(f"the index in {self.root} was deleted: run `rugs index update`") from error
        with file:
            lock(file)
            if store is not None and (live := self.current().store) != store:
                raise IndexReplacedError(
                    f"{self.table(store)} was replaced by {table_name(live)}: open the index again"
                )
            yield

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Hold the index for long work that only one process does at a time: `rebuild` or `upkeep`.

        Raises:
            IndexAbsentError: if the index was deleted.
            IndexBusyError: if another process is at it.
        """
        try:
            file = (self.folder / f".{what}.lock").open("ab")
        except OSError as error:
            raise IndexAbsentError(f"the index in {self.root} was deleted: run `rugs index update`") from error
        with file:
            if not try_lock(file):
                raise IndexBusyError(f"another process is at the {what} of the index in {self.root}: wait for its end")
            yield


def table_name(store: str) -> str:
    """Return the name of a store's table."""
    return f"chunks_{store}"


def new_store() -> str:
    """Return the id of a store that is begun now."""
    return uuid.uuid4().hex
