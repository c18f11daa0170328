"""Rejects are listed a page at a time: a short list of a large lake reads little."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from rugs_lake.maintain.compaction import compact
from rugs_lake.read.rejects import iter_rejects, list_rejects, show
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.paths import LakePaths
from rugs_proto.subjects import HEADER_RETRY
from tests.support import lakekit
from tests.support.lakekit import DAY_US, NOON_US, commit, envelope, message, open_writer

DAYS = 4
A_DAY = 4


def refused(n: int, **changes: Any) -> dict[str, Any]:
    """Return a line of a file that could not be understood."""
    told = {"doc_type": "reject", "source": "import", "session_id": f"file-{n % 3}", "fields": {"reason": "why"}}
    origin = {"file": "x.jsonl", "line": n, "offset": n * 100 - 1}
    return envelope(**{"seq": n * 100, "ts": NOON_US - n % DAYS * DAY_US, "origin": origin, **told, **changes})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rejects of several days, some at the same time, of files and of a message; some are done since. To read only."""
    root = tmp_path_factory.mktemp("lake")
    writer = open_writer(root)
    for n in range(1, DAYS * A_DAY + 1):
        commit(writer, message(n, refused(n, ts=NOON_US - n % DAYS * DAY_US + n // 8, raw=f"cut {n}")))
    commit(writer, message(100, body=b"broken", time_us=NOON_US))
    (broken,) = (each.id for each in list_rejects(root) if each.subject is not None)
    commit(writer, message(101, envelope(1), headers={HEADER_RETRY: broken}))
    whole = {"doc_type": "ws_event", "source": "import", "ts": NOON_US - 40 * DAY_US}
    commit(writer, message(102, *(refused(n, raw=f"cut {n} and more", fields={}, **whole) for n in (3, 8))))
    commit(writer, message(103, refused(5, raw="something else", **{**whole, "doc_type": "reject"})))
    writer.close()
    return root


@pytest.fixture(scope="module")
def compacted(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same lake after a compaction."""
    root = shutil.copytree(lake, tmp_path_factory.mktemp("compacted") / "lake")
    with Catalog(LakePaths(root)) as catalog:
        compact(catalog)
    return root


@pytest.mark.parametrize("page", [1, 3, 1000])
@pytest.mark.parametrize("which", ["lake", "compacted"])
def test_pages_are_one_list(request: pytest.FixtureRequest, page: int, which: str) -> None:
    lake: Path = request.getfixturevalue(which)
    every = list(iter_rejects(lake, page=page, include_done=True))
    assert len(every) == DAYS * A_DAY + 2
    assert every == sorted(every, key=lambda each: (-each.time.timestamp(), each.seq, each.id))
    assert [each.bytes for each in every if each.line == 7] == [len("cut 7")]
    assert {each.line for each in every if each.completed} == {3, 8}
    assert [each.subject is not None for each in every if each.retried] == [True]
    assert list(iter_rejects(lake, page=page)) == [each for each in every if not each.is_done]


def test_a_list_is_the_beginning_of_them(lake: Path) -> None:
    every = list(iter_rejects(lake))
    for limit in (1, 4, 100):
        assert list_rejects(lake, limit=limit) == every[:limit]


def test_a_short_list_opens_no_older_file(lake: Path, tmp_path: Path) -> None:
    lake = shutil.copytree(lake, tmp_path / "lake")
    expected = list_rejects(lake, limit=3)
    for path in lakekit.live_paths(lake):
        if "date=2026-06-01" not in str(path) and "doc_type=reject" in str(path):
            content = path.read_bytes()
            footer = int.from_bytes(content[-8:-4], "little") + 8
            path.write_bytes(content[:4] + bytes(len(content) - footer - 4) + content[-footer:])
    assert list_rejects(lake, limit=3) == expected
    with pytest.raises(duckdb.Error):
        list_rejects(lake)


def test_a_reject_that_is_done_is_shown_as_such(lake: Path) -> None:
    of_each_kind = {(each.completed, each.retried): each for each in list_rejects(lake, include_done=True)}
    assert len(of_each_kind) == 3
    for each in of_each_kind.values():
        assert show(lake, each.id)[0] == each
