"""The data root of the evaluation: the corpus and its lake, made once for the same inputs."""

from __future__ import annotations

import json
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final

from rugs_legacy.recording import look_at
from tests.retrieval import corpus as corpora

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_LAKE_ROOMS: Final = ("rugs_proto", "rugs_feed", "rugs_legacy", "rugs_lake")
_INDEX_ROOMS: Final = ("rugs_discovery", "rugs_index")
_LAKE, _RECORDINGS = "data", "recordings"
_INDEXED: Final = "index-inputs"


class DataRoot:
    """A folder with recordings and a data root of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / _LAKE

    @classmethod
    def made(cls, parent: Path | None = None) -> DataRoot:
        """Return the folder for the inputs of now; it is made where it is not there yet."""
        name = f"rugbus-retrieval-{_digest_of_inputs()[:16]}"
        folder = (parent or Path(tempfile.gettempdir())) / name
        if not folder.is_dir():
            making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{name}."))
            corpora.write(making / _RECORDINGS)
            corpora.build_lake(making / _LAKE, making / _RECORDINGS)
            try:
                making.rename(folder)
                corpora.correct_place(folder / _LAKE)
            except OSError:  # somebody else was faster
                shutil.rmtree(making)
        return cls(folder)

    @property
    def sessions(self) -> dict[str, str]:
        """The session ids of the captures, by file name."""
        captures = sorted((self.folder / _RECORDINGS / corpora.CAPTURES).iterdir())
        return {path.name: look_at(path, corpora.TIMEZONE).session_id for path in captures}

    @property
    def is_index_stale(self) -> bool:
        """Whether an index was made by other code, or none was."""
        mark = self.folder / _INDEXED
        return not mark.is_file() or mark.read_text() != _digest_of(_INDEX_ROOMS)

    def note_indexed(self) -> None:
        """Note that the index was made by the code of now."""
        (self.folder / _INDEXED).write_text(_digest_of(_INDEX_ROOMS))


def _digest_of_inputs() -> str:
    corpus = corpora.corpus()
    digest = sha256(_digest_of(_LAKE_ROOMS).encode())
    for name, content in sorted(corpus.files.items()):
        digest.update(f"{name}\n".encode() + sha256(content).digest())
    digest.update(json.dumps(corpus.live).encode())
    return digest.hexdigest()


def _digest_of(rooms: tuple[str, ...]) -> str:
    digest = sha256()
    for room in rooms:
        for path in sorted((_REPOSITORY / "libs" / room).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(_REPOSITORY)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
