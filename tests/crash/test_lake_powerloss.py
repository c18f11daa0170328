"""The power goes at any moment: the lake opens again, whole, with every row whose commit had returned.

What the real process wrote, renamed and fsynced is recorded; from prefixes of that record
(all of them in `make test-crash`) folders are made as a disk may hold them.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rugs_lake.maintain.verify import verify
from rugs_lake.store.paths import LakePaths
from tests.support import lakekit, lakeproc
from tests.support.crashkit import REPOSITORY, Matrix, acks_in, cursor_of, ended, last_ack, start
from tests.support.lakekit import FULL
from tests.support.powerloss import Call, Disk, Loss, can_record, record

pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(1800)]

LOSSES: tuple[Loss, ...] = ("all", "empty", "cut", "random", "nothing")
MESSAGES = 16
SAMPLES = 12


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """Collects what this module injects, and prints it at the end."""
    reason = can_record()
    if reason is not None:
        pytest.skip(reason)
    collected = Matrix("Loss of power")
    yield collected
    print(collected)


def run(command: str, base: Path, tmp_path: Path) -> tuple[Disk, list[Call]]:
    """Record a writer or a compactor at work; return the disk as it was before, and the record."""
    before = Disk(base)
    arguments: list[str | Path] = [sys.executable, "-m", "tests.support.lakeproc", command, base / "lake"]
    if command == "write":
        arguments += [str(MESSAGES), base / "acks"]
    return before, record(arguments, tmp_path / "trace", REPOSITORY)


def every_loss(disk: Disk, calls: list[Call], loss: Loss, folder: Path) -> Iterator[Path]:
    """Yield folders as the disk may be after prefixes of the record; the last is after all of it."""
    chance = random.Random(1)
    moments = [place for place, call in enumerate(calls) if _matters(call)]
    seen: set[tuple[bytes, bytes]] = set()
    chosen = set(moments if FULL else chance.sample(moments, min(SAMPLES, len(moments)))) | {len(calls) - 1}
    for place, call in enumerate(calls):
        changed = disk.apply(call)
        if place in chosen and (changed or place == len(calls) - 1):
            target = folder / f"after-{place}"
            disk.after(loss, target, chance)
            state = (fingerprint(target), disk.read("acks"))
            if state not in seen:  # calls that change nothing durable leave the same disk
                seen.add(state)
                yield target
            shutil.rmtree(target)


def fingerprint(folder: Path) -> bytes:
    """Return a hash of all names and bytes in a folder."""
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        state.update(os.fsencode(path.relative_to(folder)) + b"\0")
        if path.is_file():
            state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.digest()


def _matters(call: Call) -> bool:
    return call.name in ("write", "pwrite64", "fsync", "fdatasync", "rename", "linkat", "link", "unlink", "mkdir")


def check(left: Path, acked: int) -> None:
    """Check a lake that the power has left: readable at once, whole once a writer has started."""
    root = left / "lake"
    if LakePaths(root).catalog.exists():
        seen = cursor_of(root)
        assert {row[0] for row in lakekit.select(root, "SELECT id FROM events")} == lakeproc.expected_ids(seen)
    assert cursor_of(root) >= acked
    last = cursor_of(root)
    writer = lakekit.open_writer(root, at_cursor=lakeproc.stream_message(last) if last else None)
    assert writer.cursor.last_seq == last
    report = verify(root)
    assert report.ok, report.as_dict()
    lakekit.commit(writer, lakeproc.stream_message(last + 1))
    writer.close()
    assert {row[0] for row in lakekit.select(root, "SELECT id FROM events")} == lakeproc.expected_ids(last + 1)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_writer_without_power(tmp_path: Path, matrix: Matrix, loss: Loss) -> None:
    base = tmp_path / "base"
    base.mkdir()
    disk, calls = run("write", base, tmp_path)
    (base / "acks").unlink()
    shutil.rmtree(base / "lake")
    acked = 0
    for left in every_loss(disk, calls, loss, tmp_path / "left"):
        acked = acks_in(disk.read("acks"))
        check(left, acked)
        matrix.note("power", f"writer, lost: {loss}", lost=0, doubled=0, torn=0)
    assert acked == MESSAGES


@pytest.mark.parametrize("loss", LOSSES)
def test_a_compactor_without_power(tmp_path: Path, matrix: Matrix, loss: Loss) -> None:
    base = tmp_path / "base"
    base.mkdir()
    assert ended(start("write", base / "lake", MESSAGES, base / "acks")) == 0
    assert last_ack(base / "acks") == MESSAGES
    disk, calls = run("compact", base, tmp_path)
    for left in every_loss(disk, calls, loss, tmp_path / "left"):
        check(left, MESSAGES)
        matrix.note("power", f"compactor, lost: {loss}", lost=0, doubled=0, torn=0)


@pytest.mark.parametrize("loss", LOSSES if FULL else LOSSES[:1])
def test_an_orphan_that_is_moved_without_power(tmp_path: Path, matrix: Matrix, loss: Loss) -> None:
    """What no snapshot names is moved aside by a writer that starts, and is in one of the two places at any moment."""
    base = tmp_path / "base"
    base.mkdir()
    assert ended(start("write", base / "lake", MESSAGES, base / "acks")) == 0
    orphan = LakePaths(base / "lake").data / "doc_type=ws_event" / "date=2026-06-01" / "part-1.parquet"
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.write_bytes(b"somebody's rows")
    disk, calls = run("write", base, tmp_path)
    for left in every_loss(disk, calls, loss, tmp_path / "left"):
        found = [path.read_bytes() for path in (left / "lake").rglob(orphan.name)]
        assert b"somebody's rows" in found
        check(left, MESSAGES)
        matrix.note("power", f"orphan moved, lost: {loss}", lost=0, doubled=0, torn=0)
