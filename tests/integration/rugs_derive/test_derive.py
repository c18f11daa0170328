"""The derive consumer beside a real broker and a real writer: what follows from frames is in the lake, once."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg

import rugs_bus
from rugs_bus import StreamSettings, stream_state
from rugs_bus.api import ask
from rugs_derive import rederive
from rugs_derive.position import find
from rugs_lake.maintain.change import change
from rugs_lake.maintain.verify import verify
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.paths import LakePaths
from rugs_proto.subjects import ALERTS_QUALITY
from rugs_runtime.broker import Broker
from tests.support import derivekit, stackkit
from tests.support.derivekit import Derive, Rig, derived_in, expected, frame, frames, in_play, lost, told_position
from tests.support.feedkit import GAME, a_game, entry, playing, waiting
from tests.support.lakekit import import_headers, tick
from tests.support.stackkit import Writer, caught_up, rows, until

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture
async def rig(nc: Client, broker: Broker, tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig.running(nc, broker, tmp_path / "lake") as rig:
        yield rig


async def test_what_follows_from_live_frames_is_in_the_lake_and_says_its_cause(rig: Rig) -> None:
    told = lost(frames(900), 0.1)
    await derivekit.publish(rig.nc, told)
    status = await rig.settle()
    rig.assert_derived(told)
    wanted = expected(told)
    assert status["derived"] == {kind: sum(row["doc_type"] == kind for row in wanted) for kind in ("game", "game_tick")}
    assert (status["state"], status["error"], status["undigested"]) == ("running", None, {})
    orphans = "SELECT count(*) FROM events WHERE cause IS NOT NULL AND cause NOT IN (SELECT id FROM ws_event)"
    assert rows(rig.root, orphans) == [(0,)]

    async def is_told() -> bool:  # of frames behind the last derived message a mark does, a little later
        return await told_position(rig.nc) == int(status["position"])

    await until(is_told)


async def test_rebuilt_from_the_lake_is_what_was_derived_live(rig: Rig, tmp_path: Path) -> None:
    """Two vantage points, and an import of the same games; some frames of each are lost."""
    told = [
        *lost(frames(700, session_id="a"), 0.1, 1),
        *lost(frames(700, source="cdp", session_id="b"), 0.2, 2),
        *lost(frames(900, source="import", session_id="c"), 0.3, 3),
    ]
    told.sort(key=lambda each: each["ts"])
    await derivekit.publish(rig.nc, told)
    await rig.settle()
    live = derived_in(rig.root)
    rig.assert_derived(told)

    rig.derive.kill()
    rig.writer.stop()
    for name in ("RUGS_EVENTS", "OBJ_RUGS_BLOBS"):
        await ask(rig.nc, f"STREAM.DELETE.{name}")
    await rugs_bus.ensure_streams(rig.nc, StreamSettings(max_bytes=1 << 30))
    other = Writer(tmp_path / "other", rig.broker).start()
    try:
        await derivekit.publish(rig.nc, told, batch=1)
        await caught_up(rig.nc, other.root)
        assert derived_in(other.root) == {}
        first = await rederive(rig.nc, other.root)
        again = await rederive(rig.nc, other.root)
        await caught_up(rig.nc, other.root)
    finally:
        other.kill()
    assert derived_in(other.root) == live
    assert sum(kind.stored for kind in first.kinds.values()) == len(live)
    assert {name: kind.duplicates for name, kind in again.kinds.items()} == {
        name: kind.stored for name, kind in first.kinds.items()
    }
    assert first.checks == again.checks


async def test_what_was_stored_wrong_is_corrected_under_the_same_ids(rig: Rig) -> None:
    """Extracts of frames first, and then what is derived from them; what is right stays as it is."""
    await derivekit.publish(rig.nc, lost(frames(500), 0.1))
    await rig.settle()
    rig.derive.kill()
    await rederive(rig.nc, rig.root, replace=True)
    everything = "SELECT * EXCLUDE (extra), extra::JSON FROM events ORDER BY id"
    right = rows(rig.root, everything)
    frames_wrong = spoil(rig.root, "ws_event", game_id=None, tick=None, price=None)
    ticks_wrong = spoil(rig.root, "game_tick", price=0.5)
    assert rows(rig.root, everything) != right
    done = await rederive(rig.nc, rig.root, replace=True)
    assert rows(rig.root, everything) == right
    assert done.corrected == {"extracts": frames_wrong, "derived": ticks_wrong}
    assert all(kind.stored == 0 for kind in done.kinds.values())
    assert (await rederive(rig.nc, rig.root, replace=True)).corrected == {"extracts": 0, "derived": 0}
    assert verify(rig.root).ok


def spoil(root: Path, doc_type: str, **values: Any) -> int:
    """Store something else in some columns, as a program with other rules would have; return how many rows it hits."""

    def wrong(table: pa.Table) -> pa.Table:
        for name, value in values.items():
            field = table.schema.field(name)
            column = pa.array([value] * table.num_rows, field.type)
            table = table.set_column(table.schema.get_field_index(name), field, column)
        return table

    with Catalog(LakePaths(root)) as catalog:
        return change(catalog, "spoiled", ChangeScope(doc_type=doc_type), wrong).rows


@pytest.mark.parametrize("purged", [False, True], ids=["in the stream", "in the lake"])
@pytest.mark.parametrize("end", [Derive.stop, Derive.kill], ids=["stopped", "killed"])
async def test_a_game_that_was_going_on_is_read_again(rig: Rig, end: Callable[[Derive], object], purged: bool) -> None:
    told = lost(frames(420), 0.2)
    half = in_play(told, 150)
    await derivekit.publish(rig.nc, told[:half])
    await rig.settle()
    end(rig.derive)
    if purged:
        await rig.purge()
    await derivekit.publish(rig.nc, told[half:])
    rig.derive.start()
    status = await rig.settle()
    rig.assert_derived(told)
    assert status["events"]["gameStateUpdate"] < len(told)


async def test_what_was_purged_before_anybody_derived_from_it_is_read_from_the_lake(rig: Rig) -> None:
    told = lost(frames(800), 0.2)
    first, last = in_play(told, 150), in_play(told, 400)
    await derivekit.publish(rig.nc, told[:first])
    await rig.settle()
    rig.derive.kill()
    await derivekit.publish(rig.nc, told[first:last], batch=7)
    await rig.purge()
    rig.derive.start()
    await derivekit.publish(rig.nc, told[last:])
    await rig.settle()
    rig.assert_derived(told)


async def test_purged_while_it_was_paused(rig: Rig) -> None:
    told = lost(frames(700), 0.2)
    first, last = in_play(told, 100), in_play(told, 400)
    await derivekit.publish(rig.nc, told[:first])
    await rig.derive.done(rig.nc)
    rig.derive.signal(signal.SIGSTOP)
    await derivekit.publish(rig.nc, told[first:last])
    await rig.purge()
    rig.derive.signal(signal.SIGCONT)
    await derivekit.publish(rig.nc, told[last:])
    await rig.settle()
    rig.assert_derived(told)


async def test_where_all_that_was_derived_is_purged_the_lake_says_how_far_it_had_come(rig: Rig) -> None:
    told = lost(frames(700), 0.2)
    first, last = in_play(told, 300), in_play(told, 400)
    await derivekit.publish(rig.nc, told[:first])
    await rig.settle()
    rig.derive.kill()
    await derivekit.publish(rig.nc, told[first:last])
    await rig.purge()  # the last message is a frame, and says nothing of derivation
    await derivekit.publish(rig.nc, told[last:])
    rig.derive.start()
    await rig.settle()
    rig.assert_derived(told)


async def test_a_stream_made_anew_in_the_middle_of_a_game(rig: Rig) -> None:
    told = lost(frames(600), 0.2)
    first = in_play(told, 150)
    last = in_play(told, first + 5)
    await derivekit.publish(rig.nc, told[:first])
    await rig.settle()
    await ask(rig.nc, "STREAM.DELETE.RUGS_EVENTS")
    await rugs_bus.ensure_streams(rig.nc, StreamSettings(max_bytes=1 << 30))
    await derivekit.publish(rig.nc, told[first:last])
    await rig.settle()
    rig.derive.kill()
    await derivekit.publish(rig.nc, told[last:])
    rig.derive.start()
    await rig.settle()
    rig.assert_derived(told)


async def test_a_stream_restored_from_an_older_backup_loses_nothing_that_follows(rig: Rig, tmp_path: Path) -> None:
    told = lost(frames(700), 0.1)
    first, second = in_play(told, 150), in_play(told, 300)
    await derivekit.publish(rig.nc, told[:first])
    await rig.settle()
    rig.broker.stop()
    shutil.copytree(rig.broker.folder, tmp_path / "backup")
    rig.broker.start()
    await derivekit.publish(rig.nc, told[first:second])
    await rig.settle()
    rig.broker.stop()
    shutil.rmtree(rig.broker.folder)
    shutil.copytree(tmp_path / "backup", rig.broker.folder)
    rig.broker.start()
    await derivekit.publish(rig.nc, told[second:])
    await rig.settle()
    found, wanted = derived_in(rig.root), {row["id"] for row in expected(told)}
    assert not wanted - found.keys()
    # Of the game that went on meanwhile, a few ticks are filled in that the stream does not know any more.
    assert all(found[each][18] for each in found.keys() - wanted)


async def test_a_broker_that_is_killed_and_one_that_is_paused(rig: Rig, pause: Callable[[], Awaitable[None]]) -> None:
    told = lost(frames(600), 0.1)
    await derivekit.publish(rig.nc, told[:200])
    await rig.derive.done(rig.nc)
    rig.broker.kill()
    rig.broker.start()
    await derivekit.publish(rig.nc, told[200:400])
    await pause()
    await until(lambda: "disconnected" in rig.derive.log.rpartition("reconnected")[2])
    rig.broker.signal(signal.SIGCONT)
    await derivekit.publish(rig.nc, told[400:])
    await rig.settle()
    rig.assert_derived(told)


async def test_what_cannot_be_digested_is_counted_and_stops_nothing(rig: Rig) -> None:
    good = [frame(seq, "gameStateUpdate", state) for seq, state in enumerate(a_game([1, 1.1, 1.2, 0.1]), 1)]
    bad = [
        frame(91, "gameStateUpdate", None),
        frame(92, "gameStateUpdate", {"gameId": "g", "tickCount": -1, "price": 1}),
        frame(93, "gameStateUpdate", {}, raw="42[torn"),
        frame(94, "gameStateUpdate", {}, raw=b"\xff\xfe"),
        frame(95, "playerUpdate", []),
    ]
    subject = "rugs.events.ws_event.public_ws._"
    for body in (b"", b"junk", b"\x90", b"\xdc", json.dumps(good[0]).encode(), b"\x92\xc0\xc0"):
        await stackkit.publish(rig.nc, subject, body)
    await derivekit.publish(rig.nc, [*good[:3], *bad, {**frame(96, "gameStateUpdate", {}), "v": 2}, *good[3:]], batch=4)
    status = await rig.settle()
    rig.assert_derived([*good[:3], *bad, *good[3:]])
    assert status["undigested"] == {
        "game.undigested.no payload": 2,
        "game_tick.undigested.no payload": 2,
        "game_tick.undigested.no tick or no price": 1,
        "server_state.undigested.no payload": 1,
        "unreadable": 1,
    }


async def test_a_check_that_fails_is_told_once_a_game(rig: Rig) -> None:
    heard: list[dict[str, Any]] = []

    async def hear(message: Msg) -> None:
        heard.append(json.loads(message.data))

    await rig.nc.subscribe(ALERTS_QUALITY, cb=hear)
    states = [waiting(timer, allowPreRoundBuys=True) for timer in (10_100, 10_200)]
    states.append(waiting(100, gameHistory=[entry([1, 1.2], game="other", peakMultiplier=5)]))
    told = [frame(seq, "gameStateUpdate", state) for seq, state in enumerate(states, 1)]
    await derivekit.publish(rig.nc, told, batch=3)
    status = await rig.settle()
    await until(lambda: len(heard) == 2)
    assert [(each["check"], each["game_id"]) for each in heard] == [("pre_round_buys", GAME), ("peak_matches", "other")]
    assert heard[0]["cause"] == derivekit.id_of(told[0])
    assert status["checks"]["pre_round_buys"] == {"held": 1, "failed": 2}
    assert status["findings"][-1]["check"] == "peak_matches"
    rig.derive.kill()
    rig.derive.start()
    await rig.derive.done(rig.nc)
    assert len(heard) == 2, "what is read again is not told again"


async def test_a_feed_that_the_rules_no_longer_understand_is_an_alert_once_and_when_it_recovers(rig: Rig) -> None:
    heard: list[dict[str, Any]] = []

    async def hear(message: Msg) -> None:
        heard.append(json.loads(message.data))

    await rig.nc.subscribe(ALERTS_QUALITY, cb=hear)
    prices = [1 + tick / 100 for tick in range(40)]
    strange = [{"gameId": GAME, "active": True, "state": playing(prices, tick)} for tick in range(30)]
    told = [frame(seq, "gameStateUpdate", state) for seq, state in enumerate(strange, 1)]
    await derivekit.publish(rig.nc, told, batch=7)
    status = await rig.derive.done(rig.nc)
    assert status["missing"] == {"public_ws": {"tick": 30, "price": 30}}
    await until(lambda: len(heard) == 2)
    assert [(each["check"], each["source"], each["recovered"]) for each in heard] == [
        ("has_tick", "public_ws", False),
        ("has_price", "public_ws", False),
    ]
    assert heard[0]["cause"] == derivekit.id_of(told[19])
    await derivekit.publish(rig.nc, [frame(99, "gameStateUpdate", playing(prices, 31))])
    assert (await rig.derive.done(rig.nc))["missing"] == {}
    await until(lambda: len(heard) == 4)
    assert {each["recovered"] for each in heard[2:]} == {True}


async def test_a_source_of_a_name_of_its_own_is_derived_from_and_gone_on_with(rig: Rig) -> None:
    told = frames(420, source="my_scraper_2")
    half = in_play(told, 150)
    await derivekit.publish(rig.nc, told[:half])
    await rig.settle()
    rig.derive.kill()
    found = await find(rig.nc, await stream_state(rig.nc))
    assert found is not None
    assert found.spans.keys() == {"my_scraper_2"}
    await derivekit.publish(rig.nc, told[half:])
    rig.derive.start()
    status = await rig.settle()
    rig.assert_derived(told)
    assert status["events"]["gameStateUpdate"] < len(told)


async def test_other_peoples_ticks_do_not_hide_how_far_it_has_come(rig: Rig) -> None:
    """An import of old games publishes on the subject of ticks that are derived from imported frames."""
    told = frames(300, source="import")
    await derivekit.publish(rig.nc, told)
    await rig.derive.done(rig.nc)
    assert rig.derive.stop() == 0
    old = [tick(number, source="import", cause=..., raw="x") for number in range(20)]
    for place, each in enumerate(old, 1):
        body = derivekit.packed(each)
        await stackkit.publish(rig.nc, "rugs.events.game_tick.import.tick", body, import_headers("e" * 32, place))
    rig.derive.start()
    status = await rig.settle()
    assert status["events"] == {}, "nothing was derived a second time"


async def test_the_broker_shows_the_consumer_and_whoever_comes_last_goes_on(rig: Rig, tmp_path: Path) -> None:
    told = frames(300)
    await derivekit.publish(rig.nc, told[:100])
    position = (await rig.derive.done(rig.nc))["position"]
    info = await ask(rig.nc, "CONSUMER.INFO.RUGS_EVENTS.derive")
    assert (info["config"]["durable_name"], info["num_pending"]) == ("derive", 0)
    assert info["delivered"]["stream_seq"] == position

    other = Derive(tmp_path / "lake", rig.broker).start()
    try:
        await until(lambda: rig.derive.process is not None and rig.derive.process.poll() is not None)
        assert rig.derive.process is not None
        assert rig.derive.process.returncode == 3
        await derivekit.publish(rig.nc, told[100:])
        await other.done(rig.nc)
        assert other.stop() == 0
        info = await ask(rig.nc, "CONSUMER.INFO.RUGS_EVENTS.derive")
        assert info["num_pending"] == 0, "it stays, and shows how far derivation has come"
    finally:
        other.kill()
    await caught_up(rig.nc, rig.root)
    rig.assert_derived(told)


async def test_a_frame_too_large_for_a_message_is_derived_from(rig: Rig) -> None:
    state = playing([1 + tick / 100 for tick in range(50)], 40)
    large = frame(1, "gameStateUpdate", {**state, "padding": "x" * 9_000_000})
    raw = large["raw"].encode()
    event_id = derivekit.id_of(large)
    await rugs_bus.put_blob(rig.nc, event_id, raw)
    parked = {key: value for key, value in large.items() if key != "raw"}
    parked |= {"id": event_id, "blob": derivekit.digest(raw)}
    await stackkit.publish(rig.nc, "rugs.events.ws_event.public_ws.gameStateUpdate", derivekit.packed(parked))
    await rig.settle()
    rig.assert_derived([large])
