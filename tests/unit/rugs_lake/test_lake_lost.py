"""Damaged files are given up only on request, and what was in them is said for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rugs_lake.errors import LakeError
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.retention import expire
from rugs_lake.maintain.verify import verify
from rugs_lake.store import parquet
from rugs_lake.store.paths import LakePaths
from tests.support import lakekit
from tests.support.lakekit import LAST, envelope, message, open_writer


@pytest.mark.parametrize("damage", ["torn", "missing"])
def test_repair_gives_up_a_damaged_file_and_the_lake_can_be_written_again(lake: Path, damage: str) -> None:
    """Its rows are counted as lost, for ever; what comes again of them is stored again."""
    path = lakekit.live_paths(lake)[0]
    name = str(path.relative_to(LakePaths(lake).data))
    path.write_bytes(b"junk") if damage == "torn" else path.unlink()
    writer = open_writer(lake, at_cursor=LAST)
    lakekit.add(writer, message(4, envelope(3), envelope(8)))
    pending = writer.take()
    assert pending is not None
    with pytest.raises(parquet.TornFileError, match=f"{path.name} is .*`rugs verify --repair`"):
        writer.commit(pending)
    report = verify(lake, repair=True)
    assert (report.ok, report.lost, report.rows) == (True, [name], 4)
    assert report.totals == {"taken": 7, "stored": 7, "duplicates": 0, "rejected": 0, "lost": 3}
    assert len(list(LakePaths(lake).orphans.rglob(path.name))) == (damage == "torn")
    writer.commit(pending)
    assert lakekit.checked(lake).rows == 6
    assert lakekit.select(lake, "SELECT seq FROM events ORDER BY 1") == [(3,), (4,), (5,), (6,), (7,), (8,)]
    ((first, last, reason),) = lakekit.select(lake, "SELECT first_seq, last_seq, reason FROM gap")
    assert (first, last) == (1, 1)
    assert name in reason
    assert lakekit.catalog_rows(lake, "SELECT kind, scope FROM rugs_change") == [("lost", name)]
    compact(writer.catalog)
    expire(writer.catalog, keep_seconds=0)
    assert lakekit.checked(lake, repair=True).lost == [name]


def test_repair_does_not_give_up_the_whole_lake(lake: Path) -> None:
    data = LakePaths(lake).data
    data.rename(data.with_name("elsewhere"))
    data.mkdir()
    with pytest.raises(LakeError, match=r"is .* the right folder, and mounted"):
        verify(lake, repair=True)
    data.rmdir()
    data.with_name("elsewhere").rename(data)
    lakekit.checked(lake)


@pytest.mark.slow
@pytest.mark.crash
def test_repair_killed_between_its_commit_and_the_move_is_finished_by_the_next(lake: Path) -> None:
    """The catalog is told first: nobody looks for a file any more that is then moved."""
    path = lakekit.live_paths(lake)[0]
    path.write_bytes(b"junk")
    imports = "import pathlib, sys; from rugs_lake.maintain.verify import verify"
    repair = f"{imports}; verify(pathlib.Path(sys.argv[1]), repair=True)"
    done = subprocess.run(
        [sys.executable, "-c", repair, lake], env={**os.environ, "RUGS_CRASH_AT": "given_up"}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"junk"
    assert lakekit.checked(lake).lost == [str(path.relative_to(LakePaths(lake).data))]
    for moved in (1, 0):
        report = lakekit.checked(lake, repair=True)
        assert (len(report.moved), report.totals["lost"]) == (moved, 3)
    assert not path.exists()
    assert [left.read_bytes() for left in LakePaths(lake).orphans.rglob(path.name)] == [b"junk"]
