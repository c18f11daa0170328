"""The legacy-writer on a backlog of live frames, beside the old recorders' own loop: ``python -m tests.bench.dual``."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rugs_bus import StreamSettings, ensure_streams
from rugs_runtime.broker import Broker
from tests.bench.processes import busy, usage
from tests.support import derivekit
from tests.support.derivekit import Frame
from tests.support.dualkit import LegacyWriter, written
from tests.support.stackkit import Writer, caught_up, connected

LIVE_RATE: Final = 5.0
"""Frames a second of the real feed."""


def main() -> None:
    """Print how many frames a second come from the stream into the old files, fsynced, and what it costs."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dual", description=__doc__)
    parser.add_argument("--frames", type=int, default=20_000, help="frames, a message each (default 20,000)")
    options = parser.parse_args()
    told = derivekit.frames(options.frames)
    with tempfile.TemporaryDirectory(prefix="rugs-bench-") as folder:
        asyncio.run(_measure(Path(folder), told))
        began = time.monotonic()
        size = _old_recorders(Path(folder) / "old-recorders", told)
        _show("old recorders' loop", len(told), size, time.monotonic() - began, "a flush a line, no fsync, no bus")


async def _measure(folder: Path, told: Sequence[Frame]) -> None:
    """Let the legacy-writer write what the stream holds already, so that nothing but it sets the pace."""
    broker = Broker(folder / "broker")
    broker.start()
    writer = Writer(folder / "lake", broker)
    legacy = LegacyWriter(folder / "lake", broker, folder / "legacy", RUGS_FLUSH_SECONDS="1.0")
    try:
        async with connected(broker.url) as nc:
            await ensure_streams(nc, StreamSettings())
            writer.start()
            await derivekit.publish(nc, told)
            await caught_up(nc, writer.root)
            await asyncio.to_thread(writer.stop)
            others, began = busy(), time.monotonic()
            legacy.start()
            assert (await legacy.done(nc))["missing"] == 0
            seconds = time.monotonic() - began
            others = busy() - others
            assert legacy.process is not None
            used = usage(legacy.process.pid)
            assert used is not None
        size = sum(map(len, written(legacy.folder).values()))
        _show("legacy-writer", len(told), size, seconds, "its start included; every batch fsynced")
        cpu = f"{used.cpu:.1f} s of CPU, others {others - used.cpu:.1f} s"
        print(f"  {'':<20} {cpu}, {used.peak / 1e6:.0f} MB at the most")
    finally:
        legacy.kill()
        writer.kill()
        broker.kill()


def _old_recorders(folder: Path, told: Sequence[Frame]) -> int:
    """Write as the recorders did: each event's line, and a tick's for each state of a game; return the bytes."""
    folder.mkdir()
    size = 0
    with (folder / "x_raw.jsonl").open("w") as capture, (folder / "game_x.jsonl").open("w") as game:
        for seq, frame in enumerate(told, 1):
            event, data = json.loads(frame["raw"].removeprefix("42"))
            size += capture.write(json.dumps({"seq": seq, "ts": str(frame["ts"]), "event": event, "data": data}) + "\n")
            capture.flush()
            if event == "gameStateUpdate":
                tick = {"type": "tick", "timestamp": str(frame["ts"]), **{name: data.get(name) for name in _TICK}}
                size += game.write(json.dumps(tick) + "\n")
                game.flush()
    return size


_TICK: Final = ("gameId", "tickCount", "price", "active", "rugged", "cooldownTimer", "tradeCount")


def _show(what: str, frames: int, size: int, seconds: float, note: str) -> None:
    rate = frames / seconds
    print(
        f"  {what:<20} {rate:,.0f} frames/s ({rate / LIVE_RATE:,.0f} times the live rate),"
        f" {size / seconds / 1e6:.1f} MB/s; {note}"
    )


if __name__ == "__main__":
    main()
