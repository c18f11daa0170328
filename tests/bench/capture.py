"""Capture at many times the live rate, from a socket to the lake: ``python -m tests.bench.capture``."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from rugs_runtime.broker import Broker
from rugs_runtime.service import ask_status
from tests.bench.processes import Usage, busy, usage
from tests.support.capturekit import Account, account, playing
from tests.support.stackkit import Gateway, Writer, caught_up, connected, until

LIVE_RATE: Final = 5.0
"""Frames a second of the real feed."""
_LOOK: Final = 5.0


class Captured(NamedTuple):
    """What came of it. Delays are milliseconds from receiving to the broker's acknowledgement, 99 of 100 frames."""

    account: Account
    seconds: float
    bytes: int
    delays: list[float]
    commit_seconds: float
    used: dict[str, Usage]
    others: float


def main() -> None:
    """Print how many frames came through, how fast, and what it cost."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.capture", description=__doc__)
    parser.add_argument("--rate", type=float, default=1000, help="frames a second (default 1000)")
    parser.add_argument("--seconds", type=float, default=60, help="for so long (default 60)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rugs-bench-") as folder:
        found = asyncio.run(_measure(Path(folder), options.rate, options.seconds))
    told = found.account
    frames = told.stored + told.in_gaps + told.lost + told.doubled
    print(f"Capture, {options.rate:,.0f} frames a second ({options.rate / LIVE_RATE:,.0f} times the live rate)")
    print(f"  came           {frames / found.seconds:,.0f} frames/s, {found.bytes / found.seconds / 1e6:.1f} MB/s")
    print(f"  stored once    {told.stored:,} of {frames:,}, in order; lost {told.lost}, doubled {told.doubled}")
    if found.delays:
        usual, worst = sorted(found.delays)[len(found.delays) // 2], max(found.delays)
        print(f"  to the broker  p99 {usual:.1f} ms, in the worst {_LOOK:g} s {worst:.1f} ms")
    print(f"  to the lake    {found.commit_seconds:.1f} s after the last frame")
    for name, used in found.used.items():
        print(f"  {name:<14} {used.cpu / found.seconds * 100:.0f}% of a core, {used.peak / 1e6:.0f} MB")
    print(f"  others         {found.others / found.seconds * 100:.0f}% of a core")


async def _measure(folder: Path, rate: float, seconds: float) -> Captured:
    root, log = folder / "lake", folder / "wire.jsonl"
    broker = Broker(folder / "broker")
    broker.start()
    settings = {"RUGS_FLUSH_SECONDS": "1.0"}
    writer = Writer(root, broker, **settings).start()
    gateway = None
    try:
        async with connected(broker.url) as nc:
            async with playing(log, rate, "--clients", "1") as simulator:
                gateway = Gateway(root, broker, RUGS_SOURCES="public", RUGS_FEED_URL=simulator["url"]).start()
                await until(lambda: log.stat().st_size > 100_000)
                busy_before, began = busy(), time.monotonic()
                before = _used(broker, writer, gateway)
                delays: list[float] = []
                while (passed := time.monotonic() - began) < seconds:
                    await asyncio.sleep(min(_LOOK, seconds - passed))
                    answer = await ask_status(nc, "capture-gateway")
                    if answer and (delay := answer["sources"][0]["bus"]["delay_ms"]) is not None:
                        delays.append(delay)
                passed = time.monotonic() - began
                after = _used(broker, writer, gateway)
                others = busy() - busy_before
            ended = time.monotonic()
            await asyncio.to_thread(gateway.stop)
            await caught_up(nc, root)
            commit_seconds = time.monotonic() - ended
        await asyncio.to_thread(writer.stop)
        used = {name: Usage(after[name].cpu - before[name].cpu, after[name].peak) for name in after}
        others -= sum(each.cpu for each in used.values())
        size = sum(len(line) for line in log.open("rb"))
        return Captured(account(root, log), passed, size, delays, commit_seconds, used, others)
    finally:
        writer.kill()
        if gateway is not None:
            gateway.kill()
        broker.kill()


def _used(broker: Broker, writer: Writer, gateway: Gateway) -> dict[str, Usage]:
    pids = {
        "broker": broker.pid,
        "writer": writer.process.pid if writer.process else None,
        "gateway": gateway.process.pid if gateway.process else None,
    }
    found = {name: usage(pid) for name, pid in pids.items() if pid is not None}
    return {name: used for name, used in found.items() if used is not None}


if __name__ == "__main__":
    main()
