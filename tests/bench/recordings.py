"""What the bench records: old recordings, real ones or made up, and the events in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from rugs_legacy.files import find_files
from rugs_legacy.recognise import UnknownFormatError
from rugs_legacy.recording import Counts, look_at, read
from rugs_sim.old_files.generate import CAPTURE_LINES, frame_lines, tick_lines

FRAMES: Final = "frames"
TICKS: Final = "ticks"
KINDS: Final = (FRAMES, TICKS)
TIMEZONE: Final = "America/New_York"
DOC_TYPES: Final = {FRAMES: "ws_event", TICKS: "game_tick"}
_FORMATS: Final = {"F1": TICKS, "F9": FRAMES, "F10": FRAMES}
_SEED: Final = 7


@dataclass(frozen=True)
class Recordings:
    """Files of one kind; `lines` and `bytes` are over all of them."""

    kind: str
    folder: Path
    files: tuple[Path, ...]
    lines: int
    bytes: int
    are_real: bool


def made_up(folder: Path, lines: dict[str, int]) -> dict[str, Recordings]:
    """Write as many lines of each kind as are asked for, in files of ordinary length."""
    with ProcessPoolExecutor() as pool:
        writing = {
            FRAMES: pool.submit(_write_captures, folder / FRAMES, lines[FRAMES]),
            TICKS: pool.submit(_write_games, folder / TICKS, lines[TICKS]),
        }
        for done in writing.values():
            done.result()
    return {kind: _taken(kind, folder / kind, are_real=False) for kind in KINDS}


def real(source: Path, folder: Path) -> dict[str, Recordings]:
    """Find real recordings under `source`; `folder` gets links to them, by kind."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
    for number, file in enumerate(find_files([source], folder, lambda _path, _error: None)):
        try:
            found = _FORMATS.get(look_at(file, TIMEZONE).format.id)
        except UnknownFormatError:
            continue
        if found is not None:
            link = folder / found / f"{number:05d}" / file.name
            link.parent.mkdir()
            link.symlink_to(file.resolve())
    return {kind: _taken(kind, folder / kind, are_real=True) for kind in KINDS}


def _write_captures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    lines = islice(frame_lines(_SEED), count)
    number = 0
    while capture := list(islice(lines, CAPTURE_LINES)):
        number += 1
        _write(folder / f"2025-12-02_{number:06d}_raw.jsonl", capture)


def _write_games(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    game: list[bytes] = []
    number = 0
    for line in islice(tick_lines(_SEED), count):
        if line.startswith(b'{"type": "game_start"') and game:
            number += 1
            _write(folder / f"game_20251202_{number:06d}.jsonl", game)
            game = []
        game.append(line)
    _write(folder / f"game_20251202_{number + 1:06d}.jsonl", game)


def _write(path: Path, lines: Sequence[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def _taken(kind: str, folder: Path, *, are_real: bool) -> Recordings:
    files = tuple(path for path in sorted(folder.rglob("*")) if path.is_file())
    contents = (path.read_bytes() for path in files)
    counts = [(content.count(b"\n"), len(content)) for content in contents]
    return Recordings(kind, folder, files, sum(n for n, _ in counts), sum(n for _, n in counts), are_real)


def live_events(folder: Path, kind: str, limit: int) -> list[dict[str, Any]]:
    """Return up to `limit` events of the recordings as a live source has them before it publishes.

    What a frame says is understood, its envelope's keys are there; session and place are not.
    """
    return list(islice(_live(folder, kind), limit))


def _live(folder: Path, kind: str) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.rglob("*.jsonl")):
        for envelope in read(look_at(path, TIMEZONE), Counts()):
            if envelope["doc_type"] == DOC_TYPES[kind]:
                del envelope["origin"]
                yield {**envelope, "source": "public_ws"}
