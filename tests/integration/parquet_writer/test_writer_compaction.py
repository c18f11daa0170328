"""The writer's compaction in the background: in nobody's way, and heard of when it did something."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

import rugs_bus
from rugs_bus import StreamSettings
from rugs_runtime.broker import Broker
from tests.support.lakekit import body, envelope
from tests.support.stackkit import Writer, caught_up, connected, publish, rows, until

pytestmark = pytest.mark.slow


async def test_small_files_are_merged_with_low_priority_and_only_that_is_logged(tmp_path: Path, broker: Broker) -> None:
    writer = Writer(tmp_path / "lake", broker, RUGS_COMPACT_SECONDS="0.1").start()
    own = psutil.Process(writer.process.pid if writer.process else None)
    niceness = []
    try:
        async with connected(broker.url) as nc:
            await rugs_bus.ensure_streams(nc, StreamSettings(max_bytes=1 << 28))
            for seq in range(1, 10):
                await publish(nc, "rugs.events.ws_event.public_ws.x", body(envelope(seq)))
                await caught_up(nc, writer.root)

            def looked() -> bool:
                for child in own.children():
                    try:
                        niceness.append(child.nice())
                    except psutil.NoSuchProcess:
                        continue
                return '"compacted"' in writer.log

            await until(lambda: looked() and 10 in niceness)
        assert writer.stop() == 0
    finally:
        writer.kill()
    told = [line for line in map(json.loads, writer.log.splitlines()) if line["event"] == "compacted"]
    assert all(line["files_before"] >= 8 for line in told)
    assert rows(writer.root, "SELECT count(*), count(DISTINCT id) FROM events") == [(9, 9)]
