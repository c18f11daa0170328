"""What publishing costs the caller: ``python -m tests.bench.client``."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from rugs_bus import connect, ensure_streams
from rugs_client import Publisher, attach
from rugs_runtime.broker import Broker
from tests.support.clientkit import STREAMS
from tests.support.replayer_bus import EventBus, Events, GameTick

EVENTS: Final = 10_000
RATE: Final = 1000
"""Events a second: 200 times the live feed's."""
FRAME: Final = '42["gameStateUpdate",{"gameId":"g-1","leaderboard":"' + "x" * 6800 + '"}]'


class _Direct(EventBus):
    """Calls back at once, so that a callback's cost can be seen."""

    def publish(self, event: Any, data: Any = None) -> None:
        for callback in self._subscribers[event].values():
            callback({"name": event.value, "data": data})


def main() -> None:
    """Print, for each kind of event, with the broker there and away, the microseconds that a call takes."""
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "broker")
        broker.start()
        try:
            asyncio.run(_make_streams(broker.url))
            print(f"{EVENTS:,} events of each kind, {RATE:,} a second; limit: 50 µs\n")
            print(f"{'µs in the caller':<44}{'median':>9}{'mean':>9}{'p99':>9}{'p99.9':>9}")
            _measure("broker there", broker.url, Path(folder) / "spool")
            broker.stop()
            _measure("broker away", broker.url, Path(folder) / "spool")
        finally:
            broker.kill()


async def _make_streams(url: str) -> None:
    nc = await connect(url, name="bench")
    await ensure_streams(nc, STREAMS)
    await nc.close()


def _measure(title: str, url: str, spool_dir: Path) -> None:
    for name, make in _KINDS.items():
        with Publisher(url, source="public_ws", spool_dir=spool_dir, close_timeout=20 if "there" in title else 0) as p:
            _print(f"{title}: {name}", _timed(make(p)))
            if p.stats.dropped or p.stats.refused:
                print(f"    lost: {p.stats}")


def _timed(call: Callable[[int], Any]) -> list[int]:
    """Return the nanoseconds of each call; calls come evenly."""
    begin = time.perf_counter()
    taken = []
    for number in range(EVENTS):
        while time.perf_counter() < begin + number / RATE:
            time.sleep(0.0002)
        start = time.perf_counter_ns()
        call(number)
        taken.append(time.perf_counter_ns() - start)
    return sorted(taken)


def _print(name: str, taken: list[int]) -> None:
    figures = [
        taken[len(taken) // 2],
        sum(taken) / len(taken),
        taken[len(taken) * 99 // 100],
        taken[-len(taken) // 1000],
    ]
    print(f"{name:<44}" + "".join(f"{figure / 1000:>9.1f}" for figure in figures), flush=True)


def _frame(publisher: Publisher) -> Callable[[int], Any]:
    return lambda number: publisher.publish("gameStateUpdate", raw=FRAME, game_id="g-1")


def _fields(publisher: Publisher) -> Callable[[int], Any]:
    return lambda number: publisher.publish(
        "tick",
        doc_type="game_tick",
        game_id="g-1",
        fields={"tick": number, "price": Decimal("1.25"), "phase": "ACTIVE", "active": True, "rugged": False},
    )


def _bus_frame(publisher: Publisher) -> Callable[[int], Any]:
    bus = _Direct()
    attach(bus, publisher)
    inner = {"event": "gameStateUpdate", "data": {"gameId": "g-1"}, "raw": FRAME, "direction": "received"}
    stamped = inner | {"timestamp": "2025-12-15T01:02:03.000004+00:00"}
    return lambda number: bus.publish(Events.WS_RAW_EVENT, {"data": stamped})


def _bus_tick(publisher: Publisher) -> Callable[[int], Any]:
    bus = _Direct()
    attach(bus, publisher)
    price = Decimal("1.25")
    ticks = [
        GameTick("g-1", number, "2025-12-01T10:00:00.25", price, "ACTIVE", True, False, 0, 3)
        for number in range(EVENTS)
    ]
    return lambda number: bus.publish(Events.GAME_TICK, {"tick": ticks[number], "mode": "live"})


_KINDS: Final = {
    "publish a frame of 6.8 KB": _frame,
    "publish 5 fields": _fields,
    "bus: WS_RAW_EVENT of 6.8 KB": _bus_frame,
    "bus: GAME_TICK": _bus_tick,
}

if __name__ == "__main__":
    main()
