"""What the events of a REPLAYER-style bus become."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_client.mapping import Mapper, micros
from rugs_client.plain import plain
from rugs_proto.rules import check_plain
from tests.support.replayer_bus import Events, GameTick, ServerState

FRAME = '42["standard/newTrade",{"__trace":true},{"gameId":"g-1","playerId":"p","username":"Ü"}]'
TICK = GameTick("g-1", 7, "2025-12-01T10:00:00.25", Decimal("1.25"), "ACTIVE_GAMEPLAY", True, False, 0, 3)


def mapped(mapper: Mapper, member: str, data: Any = None) -> dict[str, Any] | None:
    event = Events[member]
    publication = mapper.publication(event.name, event.value, data)
    return None if publication is None else dict(publication)


def test_a_frame_is_unwrapped_twice_and_its_raw_text_kept() -> None:
    inner = {
        "event": "standard/newTrade",
        "data": {"gameId": "g-1", "playerId": "p", "username": "Ü"},
        "timestamp": "2025-12-15T01:02:03.000004+00:00",
        "direction": "sent",
        "raw": FRAME,
    }
    expected = {
        "event": "standard/newTrade",
        "doc_type": "ws_event",
        "source": "cdp",
        "direction": "sent",
        "raw": FRAME,
        "ts": 1_765_760_523_000_004,
        "game_id": "g-1",
        "player_id": "p",
        "username": "Ü",
        "fields": {},
    }
    for wrapped in (inner, {"data": inner}, {"data": {"data": inner}}):
        assert mapped(Mapper(), "WS_RAW_EVENT", wrapped) == expected


@pytest.mark.parametrize("payload", [None, [], 0, "", False, {}, [1, {"gameId": "g"}], {"a": {"b": [1.5]}}])
def test_a_frame_without_raw_text_keeps_its_payload_as_it_is(payload: Any) -> None:
    local = datetime.now().astimezone()
    inner = {
        "event": "e",
        "data": payload,
        "timestamp": local.replace(tzinfo=None).isoformat(),
        "source": "websocket_feed",
        "direction": "received",
    }
    publication = mapped(Mapper(), "WS_RAW_EVENT", {"data": inner})
    assert publication is not None
    assert publication["source"] == "public_ws"
    assert publication["fields"] == {"data": payload}
    assert type(publication["fields"]["data"]) is type(payload)
    assert publication["ts"] == round(local.timestamp() * 1e6)


def test_a_frame_of_an_unknown_shape_is_kept_too() -> None:
    assert mapped(Mapper(), "WS_RAW_EVENT", 5) == {
        "event": "",
        "doc_type": "ws_event",
        "direction": "received",
        "fields": {"data": 5},
    }
    odd = {"event": "e", "direction": "up", "timestamp": "noon", "source": "a radio", "more": Path("/x")}
    assert mapped(Mapper(), "WS_RAW_EVENT", {"data": odd}) == {
        "event": "e",
        "doc_type": "ws_event",
        "raw": None,
        "direction": "received",
        "fields": {"direction": "up", "timestamp": "noon", "source": "a radio", "more": "/x"},
    }


def test_a_live_tick_is_stored_once_though_two_producers_tell_it() -> None:
    mapper = Mapper()
    engine: dict[str, Any] = {"tick": TICK, "index": 4, "total": 5, "progress": 0.8, "mode": "live"}
    publication = mapped(mapper, "GAME_TICK", engine)
    assert publication is not None
    assert publication["game_id"] == "g-1"
    assert publication["doc_type"] == "game_tick"
    assert publication["fields"] == {
        "tick": 7,
        "price": 1.25,
        "phase": "ACTIVE_GAMEPLAY",
        "active": True,
        "rugged": False,
        "cooldown_timer": 0,
        "trade_count": 3,
    }
    assert publication["ts"] == micros(TICK.timestamp)
    assert "source" not in publication, "the publisher's own: the feed"
    assert mapped(mapper, "GAME_TICK", {"tick": TICK}) is None
    assert mapped(mapper, "GAME_TICK", {"tick": replace(TICK, tick=8)}) is not None
    assert mapped(mapper, "GAME_TICK", engine | {"tick": replace(TICK, tick=8)}) is None
    assert mapper.left_out == {"tick told twice": 2}


def test_the_same_tick_from_one_producer_is_two_events() -> None:
    mapper = Mapper()
    told = [mapped(mapper, "GAME_TICK", {"tick": TICK}) for _ in range(3)]
    assert None not in told
    assert [mapped(mapper, "GAME_TICK", {"tick": TICK, "mode": "live"}) for _ in range(3)] == [None] * 3
    assert mapped(mapper, "GAME_TICK", {"tick": TICK, "mode": "live"}) is not None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=60))
def test_of_two_producers_the_one_that_tells_more_counts(told: list[tuple[bool, int]]) -> None:
    mapper, kept = Mapper(), [0] * 4
    for engine, tick in told:
        data = {"tick": replace(TICK, tick=tick)} | ({"mode": "live"} if engine else {})
        kept[tick] += mapped(mapper, "GAME_TICK", data) is not None
    for tick in range(4):
        assert kept[tick] == max(told.count((engine, tick)) for engine in (True, False))


def test_playback_of_a_file_is_never_taken_for_live() -> None:
    mapper = Mapper()
    start = mapped(mapper, "GAME_START", {"game_id": "g-0", "tick_count": 9, "filepath": Path("/f"), "mode": "file"})
    assert start is not None
    assert (start["source"], start["game_id"], start["fields"]["filepath"]) == ("replay", "g-0", "/f")
    assert mapped(mapper, "GAME_TICK", {"tick": TICK, "index": 1, "mode": "file"}) is None
    for member, data in (
        ("GAME_RUG", {"tick": 3, "price": 0.1, "game_id": "g-0"}),
        ("RUG_DETECTED", {"tick": 3, "price": 0.1}),
        ("TRADE_BUY", {"price": 1.5, "amount": 0.01, "tick": 3, "phase": "ACTIVE"}),
        ("REPLAY_SPEED_CHANGED", {"speed": 2}),
    ):
        publication = mapped(mapper, member, data)
        assert publication is not None
        assert publication["source"] == "replay", member

    live = mapped(mapper, "GAME_TICK", {"tick": TICK})
    assert live is not None, "only the live feed's controller leaves the mode out"
    feed = mapped(mapper, "GAME_END", {"game_id": "g-1", "clean": True, "seed_data": {"serverSeed": "s"}})
    assert feed is not None
    assert feed["source"] is None

    mapped(mapper, "GAME_START", {"game_id": "g-2", "tick_count": 0, "live_mode": True})
    buy = mapped(mapper, "TRADE_BUY", {"price": 1.5, "amount": 0.01})
    assert buy is not None
    assert buy["source"] == "ui"
    assert mapper.left_out == {"tick of a file played back": 1}


def test_a_live_game_starts_once() -> None:
    mapper = Mapper()
    told = [
        mapped(mapper, "GAME_START", data)
        for data in (
            {"game_id": "a", "tick_count": 0, "live_mode": True},
            {"game_id": "a"},
            {"game_id": "b"},
            {"game_id": "a"},
        )
    ]
    assert [publication and publication["game_id"] for publication in told] == ["a", None, "b", None]
    assert mapper.left_out == {"game start told again": 2}
    assert mapped(mapper, "GAME_START", {}) == mapped(mapper, "GAME_START", {}), "without a game's id nothing is known"


TRADE = {"price": 1.5, "amount": 0.01, "tick": 3, "phase": "ACTIVE_GAMEPLAY"}
"""A trade as the bus carries it: it does not say its game."""


def frame_of(game_id: str, **changes: Any) -> dict[str, Any]:
    return {"event": "gameStateUpdate", "data": [{"gameId": game_id}, "offset"], "direction": "received", **changes}


KNOWN_BY: dict[str, tuple[str, dict[str, Any]]] = {
    "a tick of the engine": ("GAME_TICK", {"tick": TICK, "index": 1, "mode": "live"}),
    "a tick of the feed": ("GAME_TICK", {"tick": TICK}),
    "a start": ("GAME_START", {"game_id": "g-1", "live_mode": True}),
    "a game state": ("WS_RAW_EVENT", {"data": frame_of("g-1")}),
}


@pytest.mark.parametrize("member", ["TRADE_BUY", "TRADE_SELL", "TRADE_SIDEBET", "TRADE_EXECUTED", "TRADE_FAILED"])
@pytest.mark.parametrize("known_by", KNOWN_BY)
def test_a_trade_carries_the_game_that_is_going_on(known_by: str, member: str) -> None:
    mapper = Mapper()
    before = mapped(mapper, member, TRADE)
    assert before is not None
    assert "game_id" not in before, "nobody has said it yet"
    mapped(mapper, *KNOWN_BY[known_by])
    trade = mapped(mapper, member, TRADE)
    assert trade == before | {"game_id": "g-1"}
    told = mapped(mapper, member, {**TRADE, "game_id": "its own"})
    assert told is not None
    assert told["game_id"] == "its own"


def test_the_current_game_changes_with_the_feed_and_ends_with_its_end() -> None:
    mapper = Mapper()

    def game_of_a_trade(member: str = "TRADE_BUY") -> str | None:
        publication = mapped(mapper, member, TRADE)
        assert publication is not None
        return publication.get("game_id")

    mapped(mapper, "GAME_TICK", {"tick": TICK})
    mapped(mapper, "WS_RAW_EVENT", {"data": frame_of("other", event="standard/newTrade")})
    mapped(mapper, "WS_RAW_EVENT", {"data": frame_of("other", direction="sent")})
    assert game_of_a_trade() == "g-1", "only a game state that was received says which game is going on"
    assert game_of_a_trade("BOT_ACTION") == game_of_a_trade("RUG_DETECTED") == "g-1"
    assert game_of_a_trade("UI_UPDATE") is None, "which belongs to no game"
    mapped(mapper, "GAME_END", {"game_id": "g-1", "clean": True})
    assert game_of_a_trade() is None
    mapped(mapper, "GAME_TICK", {"tick": replace(TICK, tick=9), "mode": "live"})
    assert game_of_a_trade() is None, "a late tick does not begin it again"
    mapped(mapper, "GAME_TICK", {"tick": replace(TICK, game_id="g-2", tick=0)})
    assert game_of_a_trade() == "g-2"
    mapped(mapper, "GAME_END", {"game_id": "g-1"})
    assert game_of_a_trade() == "g-2", "the end of another game"


def test_a_trade_in_a_file_that_is_played_back_carries_that_files_game() -> None:
    mapper = Mapper()
    mapped(mapper, "WS_RAW_EVENT", {"data": frame_of("live")})
    for _ in range(2):  # the same file may be played again
        mapped(mapper, "FILE_LOADED", {"filepath": Path("/f")})
        mapped(mapper, "GAME_START", {"game_id": "g-0", "filepath": Path("/f"), "mode": "file"})
        mapped(mapper, "WS_RAW_EVENT", {"data": frame_of("live")})
        trade = mapped(mapper, "TRADE_BUY", TRADE)
        assert trade is not None
        assert (trade["source"], trade["game_id"]) == ("replay", "g-0")
        mapped(mapper, "REPLAY_RESET", {})
        mapped(mapper, "GAME_TICK", {"tick": replace(TICK, game_id="g-0"), "mode": "file"})
        end = mapped(mapper, "GAME_END", {"game_id": "g-0"})
        assert end is not None
        assert (end["source"], end["event"]) == ("replay", "game.end")
    mapped(mapper, "GAME_START", {"game_id": "live", "live_mode": True})
    trade = mapped(mapper, "TRADE_BUY", TRADE)
    assert trade is not None
    assert (trade["source"], trade["game_id"]) == ("ui", "live")


@pytest.mark.parametrize(
    "ends",
    [
        [{"game_id": "g-1"}, {"game_id": "g-1"}],
        [{"game_id": "g-1", "clean": True}, {"game_id": "g-1", "clean": True, "seed_data": {"serverSeed": "s"}}],
        [{"game_id": "g-1", "seed_data": {"serverSeed": "s"}}, {"game_id": "g-1", "final_price": Decimal("0.02")}],
        [{"clean": True}, {"clean": True}],
        [{"game_id": "g-1"}, {"clean": True}, {"game_id": "g-1"}],
    ],
)
def test_a_game_ends_once_and_no_announcement_is_lost(ends: list[dict[str, Any]]) -> None:
    mapper = Mapper()
    for game in ("g-1", "g-2"):
        mapped(mapper, "GAME_START", {"game_id": game, "live_mode": True})
        given = [{**end, "game_id": game} if "game_id" in end else end for end in ends]
        told = [mapped(mapper, "GAME_END", end) for end in given]
        assert None not in told
        ended = [publication for publication in told if publication]
        assert [publication["event"] for publication in ended] == ["game.end"] + ["game.end.again"] * (len(ends) - 1)
        assert {publication["game_id"] for publication in ended} == {game}
        wanted = [plain({key: value for key, value in end.items() if key != "game_id"}) for end in ends]
        assert [publication["fields"] for publication in ended] == wanted


def test_a_frame_that_is_wrapped_in_itself_is_an_end_too() -> None:
    frame: dict[str, Any] = {}
    frame["data"] = frame
    publication = mapped(Mapper(), "WS_RAW_EVENT", frame)
    assert publication is not None
    check_plain(publication["fields"])


@pytest.mark.parametrize(
    ("price", "cooldown", "is_filler"),
    [("1.0", 5000, True), ("1", 5000, False), ("1.0", 0, False), ("1.00", 5000, False), ("2.5", 100, False)],
)
def test_a_price_that_the_program_has_filled_in_is_marked(price: str, cooldown: int, is_filler: bool) -> None:
    publication = mapped(Mapper(), "GAME_TICK", {"tick": replace(TICK, price=Decimal(price), cooldown_timer=cooldown)})
    assert publication is not None
    assert publication["fields"].get("is_filler", False) is is_filler


def test_a_player_update_is_the_server_s_state_with_what_was_sent() -> None:
    state = ServerState(
        cash=Decimal("3.967072345"),
        position_qty=Decimal("0.22229190000000000001"),
        avg_cost=Decimal("0"),
        player_id="did:privy:1",
        username="Dutch",
    )
    raw_data = {"cash": 3.967072345, "positionQty": 0.2222919}
    assert mapped(Mapper(), "PLAYER_UPDATE", {"server_state": state, "raw_data": raw_data}) == {
        "event": "player.update",
        "doc_type": "server_state",
        "direction": "received",
        "player_id": "did:privy:1",
        "username": "Dutch",
        "fields": {
            "cash": 3.967072345,
            "position_qty": 0.2222919,
            "position_qty_text": "0.22229190000000000001",
            "avg_cost": 0.0,
            "raw_data": raw_data,
        },
    }


@pytest.mark.parametrize(
    ("member", "doc_type", "source", "action"),
    [
        ("TRADE_BUY", "player_action", "ui", "buy"),
        ("TRADE_SELL", "player_action", "ui", "sell"),
        ("TRADE_SIDEBET", "player_action", "ui", "sidebet"),
        ("SELL_PERCENTAGE_CHANGED", "player_action", "ui", None),
        ("BOT_ACTION", "player_action", "bot", None),
        ("BOT_ENABLED", "system_event", "bot", None),
        ("UI_READY", "system_event", "ui", None),
        ("WS_SOURCE_CHANGED", "system_event", None, None),
        ("FILE_LOADED", "system_event", "replay", None),
        ("SOMETHING_NEW", "system_event", "ui", None),
    ],
)
def test_every_other_event_by_its_name(member: str, doc_type: str, source: str | None, action: str | None) -> None:
    publication = mapped(Mapper(), member, {"amount": Decimal("0.001"), "files": [Path("/a")]})
    assert publication is not None
    assert (publication["doc_type"], publication["source"]) == (doc_type, source)
    assert publication["event"] == Events[member].value
    fields = {"amount": 0.001, "files": ["/a"]} | ({"action": action} if action else {})
    assert publication["fields"] == fields


@pytest.mark.parametrize("member", [event.name for event in Events])
@pytest.mark.parametrize("data", [None, 5, [], "text", {}, {"tick": None}, {"server_state": 5}, object()])
def test_no_event_of_any_shape_is_lost(member: str, data: object) -> None:
    publication = mapped(Mapper(), member, data)
    assert publication is not None
    check_plain(publication["fields"])


def test_a_time_without_a_zone_is_this_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert micros("2025-12-01T10:00:00.25") == 1_764_601_200_250_000
        assert micros("2025-12-01T10:00:00.25+00:00") == 1_764_583_200_250_000
    finally:
        monkeypatch.undo()
        time.tzset()
    assert micros(1_764_583_200) == micros(1_764_583_200_000) == micros(1_764_583_200_000_000) == 1_764_583_200_000_000
    assert [
        micros(bad) for bad in ("noon", None, True, 5, float("nan"), float("inf"), 1e300, "0001-01-01T00:00:00")
    ] == [None] * 8
