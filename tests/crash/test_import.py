"""`rugs import` over files of every format, its processes killed at random moments: run again, the lake is the same.

Compared is all that a row says, by id, with the lake of an import that nothing happened to.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
import zstandard

from rugs_lake.store.schema import BY_NAME
from rugs_sim.old_files.generate import demo_files, files_of_every_format, write_files
from tests.support.crashkit import Matrix
from tests.support.lakekit import FULL
from tests.support.stackkit import LIMIT, RUGS, Rugs, rows, until

pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(1800)]

ROUNDS: Final = 10 if FULL else 1
SIGNS: Final = {"importer": "legacy_importer", "writer": "parquet_writer", "broker": "nats-server"}
WITHIN: Final = 1.2
"""Seconds within which a process is killed, from when the importer starts: half of these it takes to get ready."""
OF_THIS_RUN: Final = ("stored", "duplicates", "seconds")
OF_THE_WAY: Final = ("incarnation", "stream_seq")
"""What a row says of how it came."""
MATRIX: Final = Matrix("rugs import over every format")


def write_recordings(folder: Path) -> None:
    """Write files of every format, plain and packed: two recorders in one file, cut lines, copies, a cut document."""
    files = files_of_every_format(31)
    write_files(folder / "plain", files)
    packed = files_of_every_format(32).items()
    write_files(folder / "packed", {f"{name}.gz": gzip.compress(content) for name, content in packed})
    damaged = demo_files()
    write_files(folder / "damaged", damaged)
    write_files(folder / "copies", {f"{name}.zst": zstandard.compress(content) for name, content in damaged.items()})
    array = next(content for name, content in files.items() if name.endswith("_samples.json"))
    write_files(folder / "damaged", {"cut_samples.json": array[:-40]})


def everything(root: Path) -> dict[bytes, dict[str, Any]]:
    """Return all that the lake says, by id, but for the way that a row came; each id stands there once."""
    columns = [name for name in BY_NAME if name not in OF_THE_WAY]
    told = rows(root, f"SELECT {', '.join(columns)} FROM (FROM events UNION ALL BY NAME FROM reject)")
    found = {row[0]: dict(zip(columns, row, strict=True)) for row in told}
    assert len(found) == len(told)
    for row in found.values():
        if row["doc_type"] == "reject":  # a line that cannot be read has no time but that of its import
            row.update(dict.fromkeys(("ts", "recv_ts", "date")))
    return found


class Import:
    """One `rugs import`, which starts a broker and a writer of its own."""

    def __init__(self, rugs: Rugs, folder: Path) -> None:
        command = ("import", str(folder), "--wait", "--json")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([RUGS, *command], env=rugs.environment, stdout=pipe, stderr=pipe, text=True)

    async def kill(self, victim: str, within: float) -> bool:
        """Kill one of its processes, some time after the importer starts; return whether it was there."""
        await until(lambda: self._has_ended or "importer" in self._running())
        await asyncio.sleep(within)
        pid = self._running().get(victim)
        if self._has_ended or pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True

    async def ended(self) -> tuple[int, str, str]:
        """Wait for its end; return its exit code and what it printed."""
        out, err = await asyncio.to_thread(self.process.communicate, timeout=LIMIT * 2)
        return self.process.returncode, out, err

    async def done(self) -> dict[str, Any]:
        """Wait for its success; return what it told."""
        code, out, err = await self.ended()
        assert code == 0, err
        told: dict[str, Any] = json.loads(out)
        return told

    @property
    def _has_ended(self) -> bool:
        return self.process.poll() is not None

    def _running(self) -> dict[str, int]:
        """Return the process ids of what runs of it now."""
        found = {"command": self.process.pid}
        with suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children():
                command = " ".join(child.cmdline())
                found |= {name: child.pid for name, sign in SIGNS.items() if sign in command}
        return found


async def test_an_import_killed_anywhere_and_run_again_gives_the_same_lake(tmp_path: Path) -> None:
    recordings, chance = tmp_path / "recordings", random.Random(41)
    write_recordings(recordings)
    undisturbed = Rugs(tmp_path / "undisturbed")
    told = await Import(undisturbed, recordings).done()
    assert told["rejected"] > 20
    assert told["salvaged"] > 20
    expected = everything(undisturbed.root)
    for number in range(ROUNDS):
        rugs = Rugs(tmp_path / f"data-{number}")
        for victim in chance.sample(("command", "importer"), 2):
            importing = Import(rugs, recordings)
            hit = await importing.kill(victim, chance.uniform(0, WITHIN))
            code, _, err = await importing.ended()
            if hit and victim == "importer" and code:
                assert (code, "ended by SIGKILL; what was sent is kept" in err) == (1, True), err
            MATRIX.note("kill", f"{victim}, any moment", faults=int(hit))
        importing = Import(rugs, recordings)
        for victim in chance.sample(("writer", "broker"), 2):
            hit = await importing.kill(victim, chance.uniform(0, WITHIN / 2))
            MATRIX.note("kill", f"{victim}, while the import goes on", faults=int(hit))
        again = await importing.done()
        assert {**again, **dict.fromkeys(OF_THIS_RUN)} == {**told, **dict.fromkeys(OF_THIS_RUN)}
        assert again["stored"] + again["duplicates"] == told["stored"] + told["duplicates"]
        found = everything(rugs.root)
        MATRIX.note("kill", "in the end", faults=0, lost=len(expected.keys() - found.keys()))
        assert found == expected
        assert rugs.json("verify")["ok"] is True
    assert MATRIX.total["faults"] > ROUNDS
