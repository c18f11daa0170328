"""Hard gate at run time: whoever writes in a room's folders, in any process of the stack, is that room."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from tests.support.feedserver import Feed
from tests.support.stackkit import Rugs, rows, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
STATE = '42["gameStateUpdate",{"gameId":"20990101-00000000000000aa","active":true,"price":1.5,"tickCount":%d}]'
FOLDERS = {
    "events_parquet": "rugs_lake",
    "manifests": "rugs_lake",
    "discovery": "rugs_discovery",
    "vectors": "rugs_index",
}
"""The folders below the data root that belong to a room."""


class Write(NamedTuple):
    """A file of a room that was opened for writing, renamed or linked: by which module, of which program."""

    event: str
    paths: list[str]
    module: str
    program: list[str]


class Watched:
    """A data folder on which every Python process tells what it writes below the folders of rooms."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "data"
        self._log = folder / "writes.jsonl"
        self._folders = [self.root / name for name in FOLDERS]
        self.environment = {
            "PYTHONPATH": str(ROOT / "tests" / "support" / "audit"),
            "WATCHED_FOLDERS": ":".join(map(str, self._folders)),
            "WATCH_LOG": str(self._log),
        }

    def writes(self) -> list[Write]:
        return [Write(**json.loads(line)) for line in self._log.read_text().splitlines()]

    def files(self) -> set[str]:
        folders = [folder for folder in self._folders if FOLDERS[folder.name] != "rugs_index"]  # LanceDB is no Python
        return {str(path) for folder in folders for path in folder.rglob("*") if path.is_file()}

    def is_by_its_room(self, write: Write) -> bool:
        """Return whether the module that wrote is of the room whose folder it is."""
        places = {Path(path).relative_to(self.root).parts[0] for path in write.paths}
        return {write.module.partition(".")[0]} == {FOLDERS.get(place) for place in places}


async def fifty_ticks(feed: Feed, socket: web.WebSocketResponse) -> None:
    for tick in range(50):
        await feed.send(socket, STATE % tick)


def everything(rugs: Rugs, recordings: Path, out: Path) -> None:
    """Run what a user runs beside a stack that captures."""
    commands: list[tuple[Any, ...]] = [
        ("import", recordings, "--wait"),
        ("reconcile", recordings),
        ("derive",),
        ("compact",),
        ("rejects", "list"),
        ("rejects", "retry"),
        ("discovery", "build"),
        ("index", "update"),
        ("games",),
        ("stats",),
        ("sql", "SELECT count(*) FROM events"),
        ("export", "--format", "game-jsonl", "--out", out),
        ("verify",),
    ]
    for command in commands:
        done = rugs(*command)
        assert done.returncode == 0, (command, done.stderr)


async def test_in_a_running_stack_only_its_room_writes_in_a_folder(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    recordings = ROOT / "demo" / "recordings"
    async with Feed.serving(fifty_ticks) as feed:
        dual_write = {"REPLAYER_LEGACY_RECORDERS_ENABLED": "true", "RUGS_LEGACY_DIR": str(tmp_path / "legacy")}
        rugs = Rugs(watched.root, RUGS_FEED_URL=feed.url, **watched.environment, **dual_write)
        up = await asyncio.to_thread(rugs, "up", "--detach")
        assert up.returncode == 0, up.stderr
        try:
            await until(lambda: len(rugs.select("SELECT 1 FROM game_tick")) == 50)
            await until(lambda: list((tmp_path / "legacy").glob("*.jsonl")))
            await asyncio.to_thread(everything, rugs, recordings, tmp_path / "out")
        finally:
            assert (await asyncio.to_thread(rugs, "down")).returncode == 0
    assert rows(watched.root, "SELECT count(*) > 1000 FROM events") == [(True,)]

    writes = watched.writes()
    strangers = [write for write in writes if not watched.is_by_its_room(write)]
    assert not strangers
    # Libraries that open files by themselves raise no audit event: but whatever they made would be here.
    known = {path for write in writes for path in write.paths}
    sqlite = {f"{path}{end}" for path in known for end in ("-wal", "-shm", "-journal")}
    assert watched.files() <= known | sqlite
    assert {"parquet_writer", "legacy_importer"} <= {part for write in writes for part in program(write)}


def program(write: Write) -> set[str]:
    path = Path(*write.program)
    return {path.stem, path.parent.name}


@pytest.mark.parametrize("line", ["open(path, 'w')", "os.open(path, os.O_CREAT | os.O_RDWR)", "sqlite3.connect(path)"])
async def test_the_watch_sees_a_stranger(tmp_path: Path, line: str) -> None:
    watched = Watched(tmp_path)
    (watched.root / "manifests").mkdir(parents=True)
    path = watched.root / "manifests" / "mine"
    script = tmp_path / "stranger.py"
    script.write_text(f"import os, sqlite3\npath = {str(path)!r}\nopen({str(tmp_path / 'else')!r}, 'w')\n{line}\n")
    process = await asyncio.create_subprocess_exec(sys.executable, script, env=watched.environment)
    assert await process.wait() == 0
    (write,) = watched.writes()
    assert (write.paths, write.module) == ([str(path)], "__main__")
