"""The summary of a game: what it says, of whichever rows, and that no row makes it fail."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rugs_lake
from rugs_index.chunk import Chunk
from rugs_index.chunkers.game import game_chunk
from rugs_index.chunkers.game_curve import SHAPES, Point, shape_of
from rugs_index.chunkers.game_facts import GameFacts, facts_of
from rugs_index.rows import COLUMNS, ORDER, StoredRow, stored_rows
from tests.support.indexkit import GAME, TICK_US, history, row, settled_envelopes, ticks, trade
from tests.support.lakekit import NOON_US, message, store


def summary(*rows: StoredRow) -> Chunk:
    """Return the summary of the rows of a game."""
    ordered = sorted(rows, key=lambda each: each.order)
    chunk = game_chunk(f"game:{GAME}", facts_of(GAME, ordered), lambda each: each.raw)
    assert chunk is not None
    return chunk


def test_a_game_says_how_long_how_high_and_when_it_rugged() -> None:
    prices = [1.0, 1.2, 1.9, 2.4, 3.0, 2.6, 2.4, 2.2, 2.0, 1.6, 0.01]
    chunk = summary(*ticks(prices))
    headline, first, when, course, *_ = chunk.text.splitlines()
    assert headline == (
        "A short game: the price rose to a peak and then fell back (pump and dump), climbed to more than 2x and then"
        " rugged (crashed)."
    )
    assert first == f"Game {GAME} rugged at tick 10 after a peak of 3.00x; the price crashed from 1.60x to 0.01x."
    assert when == "It began on Monday 1 June 2026 at 12:00 UTC. It lasted 11 ticks, 2.5 s."
    assert "Its highest price was 3.00x at tick 4, 6 ticks before the rug." in course
    assert "The price reached 2x at tick 3." in course
    assert {**chunk.metadata} == {
        "source": "game/session-1", "kind": "game", "doc_type": "game", "game_id": GAME, "session_id": "session-1",
        "timestamp": "2026-06-01T12:00:00.250000+00:00", "ts": NOON_US + TICK_US, "until": NOON_US + 11 * TICK_US,
        "outcome": "rugged", "shape": "rise_and_fall", "ticks": 11, "rug_tick": 10, "peak": 3.0, "peak_tick": 4,
        "final_price": 0.01, "price_before_rug": 1.6, "duration_s": 2.5, "missing_ticks": 0, "trades": 20,
        "recordings": ["public_ws/session-1"], "event_ids": chunk.metadata["event_ids"],
    }  # fmt: skip
    assert len(chunk.metadata["event_ids"]) == 3
    assert chunk.owner is None
    assert "2x" in chunk.search_text.split()


def test_a_game_that_rugs_at_once_is_an_instarug() -> None:
    chunk = summary(*ticks([1.0, 1.1, 0.02]))
    assert chunk.text.startswith("A short game: it rugged almost immediately (instarug).\n")
    assert "was an instarug: it rugged at tick 2" in chunk.text
    assert (chunk.metadata["outcome"], chunk.metadata["shape"]) == ("instarug", "instarug")


def test_a_moonshot_names_the_multipliers_it_reached() -> None:
    chunk = summary(*ticks([1.0, 3.0, 6.0, 12.0, 25.0, 25.0, 25.0, 24.0, 0.01]))
    assert "climbed to more than 20x (a moonshot)" in chunk.text
    assert "The price reached 2x at tick 1, 5x at tick 2, 10x at tick 3 and 20x at tick 4." in chunk.text
    assert "In one tick (1) it jumped up from 1.00x to 3.00x." in chunk.text


def test_a_game_whose_end_was_not_recorded_is_known_only_in_part() -> None:
    end = json.dumps({"status": "incomplete", "incomplete_reason": "disconnect"})
    noted = row(50, doc_type="system_event", event="game_end", game_id=GAME, extra=end)
    chunk = summary(*ticks([1.0, 1.1, 1.4, 1.2], rugs=False), noted)
    assert (
        "is known only in part: the recording stops at tick 3, before the game ended (disconnect);"
        " its peak until then is 1.40x." in chunk.text
    )
    assert chunk.metadata["outcome"] == "unknown"
    assert "duration_s" not in chunk.metadata


def test_a_recording_that_begins_within_the_game_says_so() -> None:
    chunk = summary(*ticks([2.0, 2.2, 0.01], first=200))
    assert "The recording begins with tick 200" in chunk.text
    assert "It lasted 203 ticks; 0.5 s of it are recorded." in chunk.text
    assert "200 ticks of 203 were not recorded." in chunk.text
    assert chunk.metadata["missing_ticks"] == 200


def test_a_game_of_the_history_alone_has_its_whole_curve() -> None:
    bets = [
        {"playerId": "a", "username": "ann", "betAmount": 0.5, "startedAtTick": 3, "type": "placed"},
        {"playerId": "a", "username": "ann", "betAmount": 0.5, "startTick": 3, "payout": 2.5, "type": "payout"},
        {"playerId": "b", "username": "bob", "betAmount": 2, "startTick": 0, "payout": 0, "type": "payout"},
        {"playerId": "c", "betAmount": 0.1, "startedAtTick": 6, "type": "placed"},
        "no bet",
    ]
    chunk = summary(history([1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.4, 0.02], bets))
    assert "It ended on Monday 1 June 2026 at 12:37 UTC. It lasted 9 ticks." in chunk.text
    assert "3 side bets on an early rug, 1 of 2 won; the largest: 2 SOL by bob, lost." in chunk.text
    assert chunk.metadata["shape"] == "slow_bleed"
    assert chunk.metadata["side_bets"] == 3
    assert chunk.metadata["peak_tick"] == 0


def test_the_history_counts_where_ticks_are_missing() -> None:
    known = [each for each in ticks([1.0, 1.5, 2.0, 1.2, 0.02]) if each.tick not in (2, 4)]
    chunk = summary(*known, history([1.0, 1.5, 2.0, 1.2, 0.02]))
    assert (chunk.metadata["peak"], chunk.metadata["peak_tick"], chunk.metadata["rug_tick"]) == (2.0, 2, 4)
    assert chunk.metadata["missing_ticks"] == 0


def test_what_no_tick_is_does_not_count() -> None:
    filler = row(900, doc_type="game_tick", event="tick", game_id=GAME, tick=0, price=9.0, is_filler=True)
    echo = row(
        901, doc_type="game_tick", event="tick", game_id=GAME, tick=5, price=0.01, phase="RUG_EVENT_1", rugged=True
    )
    chunk = summary(*ticks([1.0, 1.5, 0.01]), filler, echo)
    assert (chunk.metadata["peak"], chunk.metadata["ticks"]) == (1.5, 3)


def test_an_exact_tick_goes_before_a_filled_one_and_a_later_report_before_an_earlier_one() -> None:
    one = row(1, doc_type="game_tick", event="tick", game_id=GAME, tick=1, price=5.0)
    filled = row(9, doc_type="game_tick", event="tick", game_id=GAME, tick=1, price=7.0, filled=True)
    later = row(5, doc_type="game_tick", event="tick", game_id=GAME, tick=1, price=6.0)
    assert facts_of(GAME, [one, later, filled]).points == [Point(1, 6.0)]
    assert facts_of(GAME, [filled, one]).points == [Point(1, 5.0)]


def test_the_largest_trades_are_named_each_once() -> None:
    amounts = [0.1, 5.0, 0.2, 0.3, 7.0]
    trades = [trade(place, "buy", amount, f"player{place}") for place, amount in enumerate(amounts, 1)]
    again = [each._replace(id="f" * 32, source="cdp", session_id="other") for each in trades]
    chunk = summary(*ticks([1.0, 1.5, 0.01]), *trades, *again, trade(20, "sell", 0.4, "eve"), trade(21, "sell", None))
    largest = "7 SOL by player5 at tick 5 (1.50x), 5 SOL by player2 at tick 2 (1.50x) and 0.3 SOL by player4"
    assert f"Largest buys: {largest} at tick 4 (1.50x)." in chunk.text
    assert "Largest sells: 0.4 SOL by eve at tick 20 (1.50x)." in chunk.text


def test_frames_tell_of_players_and_of_the_leaderboard() -> None:
    def frame(seq: int, price: float, connected: Any, **changes: Any) -> StoredRow:
        board = [{"username": "ann", "pnl": 1.25}]
        raw = json.dumps(["gameStateUpdate", {"connectedPlayers": connected, "leaderboard": board}])
        about = {"game_id": GAME, "tick": seq - 1, "price": price, "phase": "ACTIVE_GAMEPLAY", "raw": f"42{raw}"}
        return row(seq, **{**about, **changes})

    chunk = summary(frame(1, 1.0, 200), frame(2, 1.5, 190), frame(3, 1.2, "many"), frame(4, 0.01, 210, rugged=True))
    assert "Connected players: 190 to 210." in chunk.text
    assert "First of the leaderboard at the end: ann with +1.25 SOL." in chunk.text
    assert chunk.metadata["players"] == 210


def test_private_rows_say_nothing_in_a_public_summary() -> None:
    public = ticks([1.0, 1.5, 0.01])
    private = [trade(5, "buy", 99.0, "secret", owner="did:1"), *ticks([8.0], owner="did:1", first=1)]
    assert facts_of(GAME, private).first is None
    assert summary(*public, *private).text == summary(*public).text


def test_a_game_of_private_rows_alone_has_no_summary() -> None:
    assert game_chunk("game:x", facts_of("x", [trade(1, "buy", 1.0, owner="did:1")]), lambda each: None) is None


def test_names_of_players_cannot_break_a_line() -> None:
    chunk = summary(*ticks([1.0, 1.5, 0.01]), trade(2, "buy", 1.0, "a\nGame x rugged\x1b[31m" + "b" * 500))
    assert len(chunk.text.splitlines()) <= 7
    assert "\x1b" not in chunk.text


numbers = st.one_of(
    st.none(), st.floats(), st.just(1e308), st.integers(-(2**63), 2**63 - 1).map(float), st.floats(0.001, 200.0)
)
rows = st.builds(
    row,
    st.integers(1, 40),
    doc_type=st.sampled_from(["game_tick", "ws_event", "game", "system_event", "player_action", "other"]),
    event=st.sampled_from(["gameStateUpdate", "standard/newTrade", "tick", "game_end", "game_document", ""]),
    tick=st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(0, 12)),
    price=numbers,
    amount=numbers,
    action=st.sampled_from([None, "buy", "sell", "x"]),
    phase=st.sampled_from([None, "ACTIVE_GAMEPLAY", "PRESALE", "RUG_EVENT_1", "?"]),
    rugged=st.sampled_from([None, True, False]),
    filled=st.sampled_from([None, True]),
    is_filler=st.sampled_from([None, True]),
    trade_count=st.one_of(st.none(), st.integers(-5, 2**40)),
    username=st.one_of(st.none(), st.text(max_size=5)),
    extra=st.sampled_from(
        [None, "", "null", "[1]", '{"prices":[1,null,"x",-3,2.5],"last_tick":4}', '{"last_tick":-1,"prices":7}',
         '{"last_tick":1e300,"peak_multiplier":"x","global_sidebets":[{"betAmount":-1,"startTick":[]},{"payout":"y"}]}',
         '{"peak_price":3,"final_price":-2,"incomplete_reason":5}', '{"peak_multiplier":1e999}'],
    ),
    raw=st.sampled_from(
        [None, b"\xff", "", "42", '42["x",{"connectedPlayers":-1,"leaderboard":[7]}]',
         '42["x",{"connectedPlayers":5,"leaderboard":[{"username":"u","pnl":"n"}]}]'],
    ),
)  # fmt: skip


@given(st.lists(rows, min_size=1, max_size=30))
def test_no_rows_make_it_fail(found: list[StoredRow]) -> None:
    chunk = summary(*found)
    json.dumps(dict(chunk.metadata), allow_nan=False)
    assert 0 < len(chunk.text) < 3000
    assert chunk.metadata.get("rug_tick", 0) >= 0
    assert chunk.metadata.get("missing_ticks", 0) >= 0


@given(st.lists(rows, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(found: list[StoredRow], chance: Random) -> None:
    again = list(found)
    chance.shuffle(again)
    one, other = summary(*found), summary(*again)
    assert (one.text, one.metadata) == (other.text, other.metadata)


@pytest.mark.slow
def test_it_agrees_with_what_rugs_games_says(tmp_path: Path) -> None:
    chance = Random(3)
    store(tmp_path, *(message(seq, each) for seq, each in enumerate(settled_envelopes(chance, 150), 1)))
    columns = ", ".join("epoch_us(ts) AS ts" if name == "ts" else name for name in COLUMNS)
    with rugs_lake.open(tmp_path) as lake:
        games = lake.sql("SELECT game_id, last_tick, ended, rugged, peak FROM game_completeness").fetchall()
        query = f"SELECT {columns} FROM game_tick WHERE game_id = ? ORDER BY {ORDER}"
        for game_id, last_tick, ended, rugged, peak in games:
            facts = facts_of(game_id, stored_rows(lake.arrow(query, [game_id])))
            assert facts.peak is not None
            known = (facts.last_tick, facts.end_tick is not None, facts.rugged, facts.peak.price)
            assert known == (last_tick, ended, rugged, peak)
    assert len(games) == 3


CURVES = {
    "flat": [1.0, 1.05, 1.02, 0.99, 1.0, 1.03, 1.04, 1.01],
    "slow_bleed": [1.0, 1.1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3],
    "early_spike": [1.0, 2.0, 1.6, 1.2, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5],
    "rise_and_fall": [1.0, 1.2, 1.5, 2.0, 2.6, 3.0, 2.2, 1.7, 1.3, 1.1],
    "steady_rise": [1.0, 1.1, 1.3, 1.6, 2.0, 2.4, 3.0, 3.3],
    "late_rise": [1.0, 0.9, 0.6, 0.7, 0.8, 1.0, 1.2, 1.6, 2.2, 2.4],
    "several_peaks": [1.0, 2.0, 1.0, 2.2, 1.1, 2.1, 1.0, 0.9],
    "climb_in_waves": [1.0, 2.0, 1.2, 2.5, 1.5, 3.0, 3.1, 3.0],
    "choppy": [1.0, 1.24, 1.0, 0.95, 1.1, 0.97, 1.0, 0.99],
}


@pytest.mark.parametrize("name", CURVES)
def test_the_shape_of_a_curve_has_a_name(name: str) -> None:
    curve = [Point(tick, price) for tick, price in enumerate(CURVES[name])]
    found = shape_of(curve, len(curve))
    assert found is not None
    assert found.name == name
    assert {*CURVES, "instarug"} == {shape.name for shape in SHAPES}


@given(st.lists(st.floats(1e-6, 1e6), min_size=7, max_size=60), st.booleans())
def test_every_curve_has_one_shape(prices: list[float], rugs: bool) -> None:
    curve = [Point(tick, price) for tick, price in enumerate(prices)]
    assert shape_of(curve, len(curve) if rugs else None) in SHAPES


@pytest.mark.slow
def test_a_game_of_a_million_rows_takes_bounded_memory() -> None:
    some_tick, some_trade = ticks([1.0])[0], trade(1, "buy", 1.0)

    def hostile() -> Iterator[StoredRow]:
        for number in range(1_000_000):
            about: dict[str, Any] = {"id": f"{number:032x}", "ts": NOON_US + number, "session_id": f"s{number % 9999}"}
            if number % 2:
                yield some_tick._replace(**about, tick=number % 200_000, price=1.0 + number)
            else:
                yield some_trade._replace(**about, amount=float(number), username=f"u{number}", extra=None)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = facts_of(GAME, hostile())
    chunk = game_chunk("game:x", facts, lambda each: None)
    assert chunk is not None
    assert len(chunk.text) < 2000
    assert isinstance(facts, GameFacts)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 150 << 10
