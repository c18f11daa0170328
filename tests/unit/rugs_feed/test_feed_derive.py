"""What follows from the events of the feed: ticks, completed games, player states, connections."""

from __future__ import annotations

from typing import Any

import pytest

from rugs_feed.derive import KEPT_GAMES, Deriver
from rugs_proto import ids
from rugs_proto.envelope import Envelope
from tests.support.completeness import completeness
from tests.support.feedkit import GAME, TS, a_game, derive, entry, heard, opening, playing, stream, ticks, waiting
from tests.support.legacy_lines import frame
from tests.support.madeup import played

PRICES = [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 0.02]
LAST = len(PRICES) - 1


def test_a_game_state_gives_its_tick() -> None:
    event = heard(7, playing(PRICES, 0, tradeCount=4), recv_ts=TS + 5)
    (row,) = derive([event])
    assert row == {
        "v": 1,
        "id": ids.derived_id("game_tick", "public_ws", GAME, 0, "GAME_ACTIVATION", False, False),
        "ts": event.ts,
        "recv_ts": TS + 5,
        "doc_type": "game_tick",
        "source": "public_ws",
        "session_id": "s-1",
        "seq": 7,
        "direction": "received",
        "event": "tick",
        "game_id": GAME,
        "fields": {
            "price": 1,
            "tick": 0,
            "active": True,
            "rugged": False,
            "cooldown_timer": 0,
            "allow_pre_round_buys": False,
            "trade_count": 4,
            "phase": "GAME_ACTIVATION",
        },
        "cause": event.id,
    }
    assert Envelope.model_validate(row).id == row["id"]


def test_a_countdown_gives_no_tick_and_none_is_made_up() -> None:
    deriver = Deriver()
    assert derive(stream([waiting(timer) for timer in (15_000, 10_000, 100, 0)]), deriver) == []
    assert deriver.tally.counts["game_tick.none"] == 4


def test_a_whole_game_gives_every_tick_once_and_tick_zero_in_each_of_its_phases() -> None:
    rows = derive(stream(a_game(PRICES)))
    before = [(0, "COOLDOWN", False), (0, "PRESALE", False), (0, "GAME_ACTIVATION", False)]
    played = [(tick, "ACTIVE_GAMEPLAY", False) for tick in range(1, LAST)]
    assert ticks(rows) == [*before, *played, (LAST, "RUGGED", False)]
    assert completeness(rows)[GAME].complete


def test_ticks_that_only_the_prices_tell_are_filled_in() -> None:
    lost = (2, 3, 5)
    rows = derive(stream(playing(PRICES, tick) for tick in range(8) if tick not in lost))
    assert [(tick, filled) for tick, _, filled in ticks(rows)] == [(tick, tick in lost) for tick in range(8)]
    filled = next(row for row in rows if row["fields"]["tick"] == 2)
    assert filled["fields"] == {"price": 1.2, "tick": 2, "phase": "ACTIVE_GAMEPLAY", "rugged": False, "filled": True}
    assert filled["cause"] == next(row for row in rows if row["fields"]["tick"] == 4)["cause"]


def test_connecting_in_the_middle_tells_all_prices_so_far() -> None:
    states = [playing(PRICES, 6, partialPrices=None, prices=PRICES[:7]), playing(PRICES, 7)]
    rows = derive(stream(states))
    assert [(tick, filled) for tick, _, filled in ticks(rows)] == [
        *[(tick, True) for tick in range(6)],
        (6, False),
        (7, False),
    ]
    assert rows[0]["fields"]["phase"] == "GAME_ACTIVATION"


def test_a_filled_price_never_keeps_out_the_exact_frame() -> None:
    rows = derive(stream([playing(PRICES, 3), playing(PRICES, 2)]))
    assert ticks(rows)[-1] == (2, "ACTIVE_GAMEPLAY", False)
    assert (2, "ACTIVE_GAMEPLAY", True) in ticks(rows)
    assert len({row["id"] for row in rows}) == len(rows)


def test_the_end_told_a_second_time_is_no_tick() -> None:
    deriver = Deriver()
    rows = derive(stream([playing(PRICES, LAST, rugged=True), playing(PRICES, LAST + 3, rugged=True)]), deriver)
    assert ticks(rows)[-1] == (LAST, "RUGGED", False)
    assert deriver.tally.counts["game_tick.echo"] == 1


def test_an_end_told_only_the_second_time_fills_in_the_rug() -> None:
    rows = derive(stream([*(playing(PRICES, tick) for tick in range(LAST)), playing(PRICES, LAST + 3, rugged=True)]))
    assert rows[-1]["fields"] == {"price": 0.02, "tick": LAST, "phase": "RUGGED", "rugged": True, "filled": True}
    known = completeness(rows)[GAME]
    assert (known.complete, known.last_tick, known.filled_ticks) == (True, LAST, 1)


def test_prices_that_lag_behind_do_not_hide_the_tick() -> None:
    state = playing(PRICES, LAST, rugged=True, partialPrices={"values": {"6": 1.6, "7": 1.7}})
    assert ticks(derive(stream([state]))) == [
        (6, "ACTIVE_GAMEPLAY", True),
        (7, "ACTIVE_GAMEPLAY", True),
        (LAST, "RUGGED", False),
    ]


def test_games_and_sources_are_kept_apart() -> None:
    states = [playing(PRICES, 1), playing(PRICES, 1, game="other")]
    events = [*stream(states), *(event._replace(source="cdp") for event in stream(states))]
    rows = derive(events)
    assert len({row["id"] for row in rows}) == len(rows) == 8


def test_a_price_told_twice_differently_is_found_and_the_first_stands() -> None:
    deriver = Deriver()
    rows = derive(stream([playing(PRICES, 4), playing([*PRICES[:4], 9.9, 1.5], 5)]), deriver)
    assert [row["fields"]["price"] for row in rows if row["fields"]["tick"] == 4] == [1.4]
    assert deriver.tally.failures == {"tick_price": 1}
    assert deriver.tally.findings[0][:2] == ("tick_price", GAME)
    assert deriver.tally.findings[0].detail == "tick 4: 1.4, then 9.9"


def test_buying_before_the_round_is_checked_against_the_timer() -> None:
    deriver = Deriver()
    derive(stream([waiting(10_000), waiting(10_100), waiting(10_100, allowPreRoundBuys=True)]), deriver)
    assert deriver.tally.counts["check.pre_round_buys.held"] == 2
    assert deriver.tally.failures == {"pre_round_buys": 1}


def test_the_end_of_a_game_may_come_when_the_next_has_begun() -> None:
    end = playing(PRICES, LAST + 2, rugged=True)
    later = [waiting(14_900, game=f"later-{number}") for number in range(KEPT_GAMES - 1)]
    rows = derive(stream([*(playing(PRICES, tick) for tick in range(LAST)), *later, end]))
    assert ticks(rows)[-2:] == [(LAST - 1, "ACTIVE_GAMEPLAY", False), (LAST, "RUGGED", True)]


def test_old_captures_are_derived_from_as_live_frames_are() -> None:
    state = playing(PRICES, 3)
    line = frame(3, "gameStateUpdate", state).decode()
    from_file = derive([heard(3, state)._replace(raw=line, source="import")])
    live = derive([heard(3, state)._replace(source="import")])
    assert [row["fields"] for row in from_file] == [row["fields"] for row in live]
    assert [row["id"] for row in from_file] == [row["id"] for row in live]


HISTORY = [entry(PRICES), entry([1, 2.5, 0.01], game="before", seed="other")]


def test_a_history_gives_each_completed_game_once() -> None:
    deriver = Deriver()
    states = [opening(15_000, game="next") | {"gameHistory": HISTORY} for _ in range(3)]
    rows = [row for row in derive(stream(states), deriver) if row["doc_type"] == "game"]
    assert [row["game_id"] for row in rows] == [GAME, "before"]
    first = rows[0]
    assert first["id"] == ids.derived_id("game", GAME)
    assert first["ts"] == TS - 60_000_000
    assert first["fields"]["last_tick"] == LAST
    assert (first["fields"]["seed_matches"], first["fields"]["peak_matches"]) == (True, True)
    assert first["fields"]["global_sidebets"][0]["startedAtTick"] == 2
    assert deriver.tally.failures == {}
    assert deriver.tally.counts["check.game_retold.held"] == 4


def test_what_a_history_should_not_say_is_found_and_stored_all_the_same() -> None:
    deriver = Deriver()
    told = [
        entry(PRICES, provablyFair={"serverSeed": "a", "serverSeedHash": "b"}),
        entry(PRICES, game="peak", peakMultiplier=99),
    ]
    rows = derive(stream([waiting(100, game="next", gameHistory=told)]), deriver)
    assert rows[0]["fields"]["seed_matches"] is False
    assert rows[1]["fields"]["peak_matches"] is False
    assert deriver.tally.failures == {"seed_matches": 1, "peak_matches": 1}


def test_of_two_tellings_the_first_stands_and_the_difference_is_counted() -> None:
    deriver = Deriver()
    shorter = entry(PRICES, prices=..., globalSidebets=...)
    other = entry([*PRICES[:-1], 0.03])
    rows = derive(stream([waiting(100, game="n", gameHistory=[told]) for told in (shorter, other, shorter)]), deriver)
    assert [row["game_id"] for row in rows] == [GAME]
    assert deriver.tally.counts["check.game_retold.held"] == 2  # that only one telling has prices is no contradiction
    derive(stream([waiting(100, game="n", gameHistory=[entry(PRICES, peakMultiplier=5)])], first=9), deriver)
    assert deriver.tally.failures["game_retold"] == 1
    assert deriver.tally.findings[-1].detail == "peak_multiplier"


def test_a_history_is_checked_against_what_was_seen_of_the_game() -> None:
    deriver = Deriver()
    seen = [playing(PRICES, tick, provablyFair={"serverSeedHash": "kept"}) for tick in (3, 4)]
    wrong = [*PRICES[:3], 7.7, *PRICES[4:]]
    derive(stream([*seen, waiting(100, game="next", gameHistory=[entry(wrong)])]), deriver)
    assert deriver.tally.failures == {"history_prices": 1, "seed_kept": 1}
    assert deriver.tally.findings[-1].detail == "ticks [3]"


@pytest.mark.parametrize(
    ("event", "payload", "doc_type", "said"),
    [
        (
            "playerUpdate",
            {"id": "p", "cash": 1.5, "positionQty": 0.2, "cumulativePnL": -1},
            "server_state",
            {"player_id": "p", "fields": {"cash": 1.5, "position_qty": 0.2, "cumulative_pnl": -1}},
        ),
        (
            "gameStatePlayerUpdate",
            {"gameId": GAME, "leaderboardEntry": {"id": "p", "username": "u", "avgCost": 1.2}},
            "server_state",
            {"game_id": GAME, "player_id": "p", "username": "u", "fields": {"avg_cost": 1.2}},
        ),
        (
            "gameStatePlayerUpdate",
            {"gameId": GAME, "rugpool": {"rugpoolAmount": 2.5}},
            "server_state",
            {"game_id": GAME, "fields": {"rugpool_amount": 2.5}},
        ),
        ("connect", None, "system_event", {"fields": {}}),
        ("disconnect", {"reason": "gone"}, "system_event", {"fields": {"reason": "gone"}}),
        ("connect_error", {"error": "no"}, "system_event", {"fields": {"reason": "no"}}),
    ],
)
def test_states_of_players_and_of_the_connection(event: str, payload: Any, doc_type: str, said: dict[str, Any]) -> None:
    cause = heard(3, payload, event)
    (row,) = derive([cause])
    assert row["id"] == ids.derived_id(doc_type, cause.id, 0)
    assert (row["doc_type"], row["event"], row["seq"], row["cause"]) == (doc_type, event, 3, cause.id)
    assert row | said == row
    assert Envelope.model_validate(row)


@pytest.mark.parametrize("raw", ['40{"sid":"s"}', "40/admin,", "41", '44{"message":"no"}'])
def test_packets_of_the_connection_are_system_events(raw: str) -> None:
    event = {"40": "connect", "41": "disconnect", "44": "connect_error"}[raw[:2]]
    received = heard(1, None, event)._replace(raw=raw)
    (row,) = derive([received])
    assert (row["doc_type"], row["event"]) == ("system_event", event)
    assert derive([received._replace(direction="sent")]) == []


def test_other_events_give_nothing_and_are_not_even_read() -> None:
    deriver = Deriver()
    assert derive([heard(1, {"gameId": GAME}, "newChatMessage")._replace(raw=None)], deriver) == []
    assert not deriver.tally.counts


@pytest.mark.parametrize(
    ("event", "payload", "counted"),
    [
        ("gameStateUpdate", None, "game_tick.undigested.no payload"),
        ("gameStateUpdate", 5, "game.undigested.no payload"),
        ("gameStateUpdate", {"price": 1, "tickCount": 1}, "game_tick.undigested.no game"),
        ("gameStateUpdate", {"gameId": "g", "tickCount": 1}, "game_tick.undigested.no tick or no price"),
        ("gameStateUpdate", {"gameId": "g", "price": 1}, "game_tick.undigested.no tick or no price"),
        ("gameStateUpdate", {"gameId": "g", "price": 1, "tickCount": -1}, "game_tick.undigested.no tick or no price"),
        ("gameStateUpdate", {"gameId": "g", "gameHistory": {}}, "game.undigested.history is no list"),
        ("gameStateUpdate", {"gameId": "g", "gameHistory": [5]}, "game.undigested.no game"),
        ("playerUpdate", {"__trace": True}, "server_state.undigested.says nothing"),
        ("playerUpdate", [], "server_state.undigested.no payload"),
    ],
)
def test_what_cannot_be_digested_is_counted_and_skipped(event: str, payload: Any, counted: str) -> None:
    deriver = Deriver()
    assert derive([heard(1, payload, event)], deriver) == []
    assert deriver.tally.counts[counted] == 1
    assert derive([heard(2, playing(PRICES, 0))], deriver)


@pytest.mark.parametrize("raw", [None, "{", b"\xff", "{}"])
def test_an_event_whose_bytes_are_not_at_hand_is_counted(raw: str | bytes | None) -> None:
    deriver = Deriver()
    assert derive([heard(1, {})._replace(raw=raw)], deriver) == []
    assert deriver.tally.counts["unreadable"] == 1


def test_a_feed_that_plays_on_gives_every_game_whole() -> None:
    """Every game that began and ended inside is complete, and is what its history says it was."""
    sent = played(5, TS, 2500)
    events = [heard(seq, one.arguments[-1], one.event, source="cdp", ts=one.at) for seq, one in enumerate(sent, 1)]
    deriver = Deriver()
    rows = derive(events, deriver)
    assert len({row["id"] for row in rows}) == len(rows)
    assert {row["doc_type"] for row in rows} == {"game_tick", "game"}
    for row in rows:
        Envelope.model_validate(row)
    assert deriver.tally.failures == {}
    known = completeness(rows)
    watched = [game for game in known.values() if game.direct]
    assert len(watched) >= 3
    assert all(game.complete for game in watched if game.ended)
    assert sum(game.filled_ticks for game in watched) == sum(row["fields"].get("filled", False) for row in rows)
    assert deriver.tally.counts["check.history_prices.held"] == sum(game.last is not None for game in watched)
