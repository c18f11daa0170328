"""A REPLAYER-style event bus, listened to for real: bus thread, publisher, broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from nats.aio.client import Client

from rugs_client import Publisher, attach
from rugs_runtime.broker import Broker
from tests.support.clientkit import stored
from tests.support.replayer_bus import EventBus, Events, GameTick, ServerState

pytestmark = pytest.mark.slow

TICK = GameTick("g-1", 0, "2025-12-01T10:00:00.25", Decimal("1.25"), "ACTIVE_GAMEPLAY", True, False, 0, 3)


@pytest_asyncio.fixture
async def publisher(broker: Broker, tmp_path: Path) -> AsyncIterator[Publisher]:
    async with Publisher(broker.url, source="public_ws", spool_dir=tmp_path / "spool", session_id="s") as publisher:
        yield publisher


async def finish(bus: EventBus, publisher: Publisher) -> None:
    await asyncio.to_thread(bus.run_empty)
    assert await asyncio.to_thread(publisher.flush, 20)


async def test_a_live_game_with_trades_and_a_playback(stream: Client, publisher: Publisher) -> None:
    bus = EventBus()
    attachment = attach(bus, publisher)
    bus.start()
    bus.publish(Events.UI_READY)
    bus.publish(Events.GAME_START, {"game_id": "g-1", "tick_count": 0, "live_mode": True})
    bus.publish(Events.GAME_START, {"game_id": "g-1"})
    for number in range(100):
        tick = replace(TICK, tick=number, price=Decimal(1) + Decimal(number) / 8)
        bus.publish(Events.GAME_TICK, {"tick": tick, "index": number, "total": number, "progress": 0, "mode": "live"})
        bus.publish(Events.GAME_TICK, {"tick": tick})
        frame: dict[str, Any] = {"event": "gameStateUpdate", "data": {"gameId": "g-1"}, "raw": f"42[{number}]"}
        bus.publish(Events.WS_RAW_EVENT, {"data": frame})
    bus.publish(Events.TRADE_BUY, {"price": 1.5, "amount": 0.01, "tick": 3, "phase": "ACTIVE_GAMEPLAY"})
    bus.publish(Events.PLAYER_UPDATE, {"server_state": ServerState(cash=Decimal("3.9"), username="Dutch")})
    bus.publish(Events.GAME_END, {"game_id": "g-1", "clean": True})
    bus.publish(Events.GAME_END, {"game_id": "g-1", "clean": True, "seed_data": {"serverSeed": "s"}})
    bus.publish(Events.FILE_LOADED, {"files": [Path("/recordings/a.jsonl")]})
    bus.publish(Events.GAME_START, {"game_id": "g-0", "tick_count": 50, "filepath": Path("/a"), "mode": "file"})
    for number in range(50):
        bus.publish(Events.GAME_TICK, {"tick": replace(TICK, game_id="g-0", tick=number), "mode": "file"})
    bus.publish(Events.SOMETHING_NEW, object())
    await finish(bus, publisher)
    assert attachment.failed == bus.get_stats()["errors"] == 0
    assert attachment.left_out == {
        "tick told twice": 100,
        "tick of a file played back": 50,
        "game start told again": 1,
    }
    attachment.detach()
    assert bus.subscriptions == 0, "the bus finds its callbacks by their identity"
    bus.stop()

    events = await stored(stream)
    kinds = Counter((e.doc_type, e.source, e.event, e.game_id) for e in events)
    assert kinds == {
        ("system_event", "ui", "ui.ready", None): 1,
        ("system_event", "public_ws", "game.start", "g-1"): 1,
        ("game_tick", "public_ws", "game.tick", "g-1"): 100,
        ("ws_event", "cdp", "gameStateUpdate", "g-1"): 100,
        ("player_action", "ui", "trade.buy", "g-1"): 1,
        ("server_state", "public_ws", "player.update", None): 1,
        ("system_event", "public_ws", "game.end", "g-1"): 1,
        ("system_event", "public_ws", "game.end.again", "g-1"): 1,
        ("system_event", "replay", "file.loaded", None): 1,
        ("system_event", "replay", "game.start", "g-0"): 1,
        ("system_event", "replay", "something.new", None): 1,
    }
    assert [e.fields["tick"] for e in events if e.doc_type == "game_tick"] == list(range(100))
    assert [e.raw for e in events if e.doc_type == "ws_event"] == [f"42[{number}]" for number in range(100)]
    for source in {e.source for e in events}:
        assert [e.seq for e in events if e.source == source] == list(
            range(1, len([e for e in events if e.source == source]) + 1)
        )


async def test_what_the_full_bus_drops_becomes_a_gap(stream: Client, publisher: Publisher) -> None:
    bus = EventBus()
    attachment = attach(bus, publisher)
    for number in range(5300):  # not started: the queue only fills
        bus.publish(Events.UI_UPDATE, {"n": number})
    bus.start()
    await finish(bus, publisher)
    attachment.detach()
    bus.stop()
    assert await asyncio.to_thread(publisher.flush, 20)
    events = await stored(stream)
    assert [e.fields["n"] for e in events if e.event == "ui.update"] == list(range(5000))
    [gap] = [e for e in events if e.event == "gap"]
    assert (gap.doc_type, gap.fields["cause"], gap.fields["lost"]) == ("system_event", "event bus full", 300)
    assert gap.ts == gap.fields["since"] <= gap.fields["until"]


async def test_no_event_disturbs_the_bus_and_what_cannot_be_mapped_is_a_reject(
    stream: Client, publisher: Publisher
) -> None:
    class Hostile(dict[str, Any]):
        def get(self, *_: object) -> Any:
            raise RuntimeError("not today")

    bus = EventBus()
    with attach(bus, publisher) as attachment:
        bus.start()
        bus.publish(Events.TRADE_BUY, Hostile(amount=1))
        bus.publish(Events.TRADE_SELL, {"amount": 2})
        await finish(bus, publisher)
        assert attachment.failed == 1
        assert bus.get_stats()["errors"] == 0
    bus.stop()
    reject, sell = await stored(stream)
    assert reject.doc_type == "reject"
    assert "not today" in reject.fields["reason"]
    assert "amount" in str(reject.raw)
    assert sell.fields == {"amount": 2, "action": "sell"}


async def test_the_bus_thread_is_not_held_up_while_the_broker_is_away(
    stream: Client, broker: Broker, publisher: Publisher
) -> None:
    bus = EventBus()
    attach(bus, publisher)
    broker.kill()
    bus.start()
    for number in range(2000):
        bus.publish(Events.WS_RAW_EVENT, {"data": {"event": "e", "raw": f"42[{number}]" + " " * 7000}})
        if number % 100 == 0:
            await asyncio.sleep(0.001)
    await asyncio.to_thread(bus.run_empty)
    assert bus.get_stats()["events_dropped"] == 0
    assert await asyncio.to_thread(publisher.secure, 20)
    broker.start()
    assert await asyncio.to_thread(publisher.flush, 20)
    bus.stop()
    assert [e.raw for e in await stored(stream)] == [f"42[{number}]" + " " * 7000 for number in range(2000)]


async def test_the_bus_s_enum_may_be_given(publisher: Publisher) -> None:
    class Bus(EventBus):
        """Defined in a module without an enum of events."""

    Bus.__module__ = "json"
    with pytest.raises(ValueError, match="enum"):
        attach(Bus(), publisher)
    bus = Bus()
    with attach(bus, publisher, events=Events):
        assert bus.subscriptions == len(Events)
