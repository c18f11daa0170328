"""The Markdown documents of the index: which folders, and what of the index is made of them.

Folders that were given once are remembered in `vectors/documents.json`, so that later updates, rebuilds and the
indexer know them as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rugs_core.errors import RugsError
from rugs_core.files import make_folder, write_durably
from rugs_index.chunk import Chunk
from rugs_index.chunkers.document import documents

PREFIX: Final = "doc:"
"""How the scopes of documents begin."""
_FILE: Final = "documents.json"


class FolderError(RugsError):
    """A folder of documents cannot be read."""


class Documents:
    """The folders of documents of an index.

    Args:
        index: the folder of the index.
        given: folders to index, besides those that were given before.

    Raises:
        FolderError: if a given one is no folder.
    """

    def __init__(self, index: Path, given: Sequence[Path] = ()) -> None:
        self._file = index / _FILE
        self._given = [folder.absolute() for folder in given]
        for folder in self._given:
            if not folder.is_dir():
                raise FolderError(f"{folder} is no folder with documents")

    def folders(self) -> list[Path]:
        """Return all folders, those of before first."""
        return list(dict.fromkeys([*map(Path, self._remembered()), *self._given]))

    def remember(self) -> None:
        """Remember the given folders."""
        names = [str(folder) for folder in self.folders()]
        if names != self._remembered():
            make_folder(self._file.parent)
            write_durably(self._file, json.dumps(names, indent=2).encode() + b"\n")

    def forget(self, folder: Path) -> None:
        """Forget a folder: its documents leave the index with the next update."""
        names = [name for name in self._remembered() if name != str(folder.absolute())]
        write_durably(self._file, json.dumps(names, indent=2).encode() + b"\n")

    def scopes(self, skipped: dict[str, str]) -> Iterator[tuple[str, list[Chunk]]]:
        """Give the scope of each document with its chunks.

        Args:
            skipped: gets the documents that cannot be read, and why.
        """
        seen: set[str] = set()
        for folder in self.folders():
            try:
                for document in documents(folder):
                    reason = document.skipped
                    if document.source in seen:
                        reason = "a folder before has a document of this name"
                    if reason is not None:
                        skipped[f"{folder}/{document.source}"] = reason
                    else:
                        seen.add(document.source)
                        yield f"{PREFIX}{document.source}", document.chunks
            except OSError as error:
                skipped[str(folder)] = error.strerror or str(error)

    def _remembered(self) -> list[str]:
        try:
            told = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return []
        return [str(name) for name in told] if isinstance(told, list) else []
