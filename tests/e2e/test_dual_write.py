"""A stack that writes the old formats beside the lake, from a simulated feed to a reader of the files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.capturekit import playing
from tests.support.dualkit import written
from tests.support.stackkit import Rugs, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


async def test_a_stack_that_writes_the_old_formats_beside_the_lake(tmp_path: Path) -> None:
    old = tmp_path / "old"
    async with playing(tmp_path / "wire.log", 200) as simulator:
        rugs = Rugs(
            tmp_path / "data",
            RUGS_FEED_URL=simulator["url"],
            REPLAYER_LEGACY_RECORDERS_ENABLED="true",
            RUGS_LEGACY_DIR=str(old),
        )
        up = await asyncio.to_thread(rugs, "up", "--detach")
        assert up.returncode == 0, up.stderr
        try:
            services = (await asyncio.to_thread(rugs.json, "status"))["services"]
            assert {each["name"]: each["state"] for each in services}["legacy-writer"] == "running"
            await until(lambda: any(b'"game_end"' in content for content in written(old).values()))
            for _ in range(2):  # while games go on: the lake may be ahead, and is never behind
                told = json.loads((await asyncio.to_thread(rugs, "reconcile", old, "--json")).stdout)
                assert (told["missing"], told["different"]) == (0, 0), told["differences"]
        finally:
            assert (await asyncio.to_thread(rugs, "down")).returncode == 0
    # It was stopped while games went on: what was captured last is in the files as it is in the lake.
    received = rugs.select(
        "SELECT count(*) AS n FROM ws_event WHERE direction = 'received' AND cause IS NULL"
        " AND event NOT IN ('open', 'ping', 'pong', 'close', 'noop', 'attachment')"
    )[0]["n"]
    lines = [content.count(b"\n") for name, content in written(old).items() if name.endswith("_raw.jsonl")]
    assert sum(lines) == received
    report = await asyncio.to_thread(rugs, "reconcile", old, "--full", "--json")
    assert report.returncode == 0, report.stdout
    assert json.loads(report.stdout)["live_files"] == len(written(old))
    rugs.environment |= {"RUGS_FEED_URL": "", "RUGS_SOURCES": "http"}  # the feed is gone
    imported = await asyncio.to_thread(rugs, "import", old, "--wait", "--json")
    assert imported.returncode == 0, imported.stderr
