"""The views that answer what is asked most: each tick once, and the completeness of games."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_feed.ticks import MAX_TICK
from rugs_lake.domains import games
from rugs_proto import ids
from tests.support.completeness import completeness
from tests.support.examples import examples
from tests.support.lakekit import NOON_US, envelope, message, select, store, tick

ROWS = "SELECT tick, phase, price, source FROM tick ORDER BY game_id, tick"


def told(
    number: int, phase: str = "ACTIVE_GAMEPLAY", *, at: int = 0, price: float = 1.5, **more: Any
) -> dict[str, Any]:
    """A derived tick, as of `at` microseconds after noon; `rugged`, `filled` and `is_filler` go into its fields."""
    flags: dict[str, Any] = {name: more.pop(name) for name in ("rugged", "filled", "is_filler") if name in more}
    fields: dict[str, Any] = {"tick": number, "price": price, "phase": phase, "rugged": False, **flags}
    place: dict[str, Any] = {"ts": NOON_US + at, "game": "g", **more}
    return tick(number, fields=fields, **place)


def game(game_id: str, fields: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A completed game."""
    place = {"doc_type": "game", "event": "gameHistory", "raw": ..., "cause": "c" * 32, "game_id": game_id}
    return envelope(**{**place, "id": ids.derived_id("game", game_id), "fields": fields, **changes})


def test_a_tick_is_shown_once_the_exact_one_before_a_filled_one_and_the_latest_phase(tmp_path: Path) -> None:
    store(
        tmp_path,
        message(
            1,
            told(0, "COOLDOWN", at=1),
            told(0, "PRESALE", at=2),
            told(0, "GAME_ACTIVATION", at=3),
            told(0, "PRESALE", at=9, filled=True),
            told(1, at=9, price=9, filled=True),
            told(1, at=4, price=1.1),
            told(1, at=5, price=1.1, source="cdp"),
            told(2, at=6, filled=True),
            told(3, "RUGGED", at=7, price=0.1, rugged=True),
            told(3, at=8, price=0.1),
            told(4, at=9, is_filler=True),
            told(-1, at=9),
            told(1, at=1, game="other"),
        ),
    )
    assert select(tmp_path, ROWS) == [
        (0, "GAME_ACTIVATION", 1.5, "public_ws"),
        (1, "ACTIVE_GAMEPLAY", 1.1, "cdp"),
        (2, "ACTIVE_GAMEPLAY", 1.5, "public_ws"),
        (3, "RUGGED", 0.1, "public_ws"),
        (1, "ACTIVE_GAMEPLAY", 1.5, "public_ws"),
    ]


def test_the_frame_after_a_rug_is_no_tick_of_its_own(tmp_path: Path) -> None:
    """An old recorder wrote it down, with a count that had gone on by one or two; its row stays."""
    whole = [*(told(number, at=number) for number in range(3)), told(3, at=3, price=0.1, rugged=True)]
    after = told(5, "RUG_EVENT_1", at=4, price=0.1, rugged=True)
    torn = [told(1, game="torn"), told(4, "RUG_EVENT_1", at=4, price=0.1, rugged=True, game="torn")]
    store(tmp_path, message(1, *whole, after, *torn))
    assert select(tmp_path, "SELECT game_id, tick FROM tick ORDER BY ALL") == [
        *(("g", number) for number in range(4)),
        ("torn", 1),
    ]
    columns = "game_id, ended, rugged, last_tick, direct, missing, complete"
    assert select(tmp_path, f"SELECT {columns} FROM game_completeness ORDER BY game_id") == [
        ("g", True, True, 3, 4, 0, True),
        ("torn", False, True, 1, 1, 1, False),
    ]
    assert select(tmp_path, "SELECT count(*) FROM game_tick WHERE phase = 'RUG_EVENT_1'") == [(2,)]


def test_a_game_says_what_is_missing_of_it_and_what_its_history_told(tmp_path: Path) -> None:
    known = [told(number, at=number, price=1 + number) for number in (2, 3, 7)]
    history = game("g", {"last_tick": 9, "peak_multiplier": 12.5, "rugged": True, "prices": [1, 2]})
    store(tmp_path, message(1, *known, told(4, at=4, filled=True)), message(2, history, game("told", {"rugged": True})))
    columns = "game_id, ended, rugged, last_tick, peak, direct, filled, missing, missing_ticks, complete, sources"
    columns += ", history_prices"
    runs = [{"first": 0, "last": 1}, {"first": 5, "last": 6}, {"first": 8, "last": 9}]
    assert select(tmp_path, f"SELECT {columns} FROM game_completeness ORDER BY game_id") == [
        ("g", True, True, 9, 12.5, 3, 1, 6, runs, False, ["public_ws"], 2),
        ("told", False, True, None, None, 0, 0, 0, [], False, ["public_ws"], 0),
    ]


def test_an_empty_lake_has_no_games(tmp_path: Path) -> None:
    store(tmp_path, message(1, envelope(1)))
    assert select(tmp_path, "SELECT * FROM game_completeness") == select(tmp_path, "SELECT * FROM tick") == []


GAMES = st.sampled_from(["a", "b", "c"])
TICKS = st.builds(
    lambda game, number, **fields: ("game_tick", game, {"tick": number, "price": 1.0, **fields}),
    GAMES,
    st.integers(-1, 6) | st.sampled_from([MAX_TICK, MAX_TICK + 1]),
    phase=st.sampled_from(["x", "x", "RUG_EVENT_1"]),
    rugged=st.booleans() | st.none(),
    filled=st.booleans(),
    is_filler=st.sampled_from([False, False, True]),
)
HISTORIES = st.builds(
    lambda game, last: ("game", game, {"last_tick": last}), GAMES, st.integers(-1, 8) | st.just(MAX_TICK + 1)
)


@settings(max_examples=examples(12))
@given(st.lists(st.lists(TICKS | HISTORIES, max_size=12), min_size=1, max_size=3))
def test_the_view_says_what_the_pure_function_says(pages: list[list[tuple[str, str, dict[str, Any]]]]) -> None:
    rows: dict[str, dict[str, Any]] = {}
    for seq, (doc_type, game_id, fields) in enumerate(itertools.chain(*pages), 1):
        row = game(game_id, fields) if doc_type == "game" else tick(1, game_id, fields=fields, seq=seq)
        rows.setdefault(str(ids.natural_id(doc_type, "public_ws", game_id, fields)), row)
    by_type = [[row for row in rows.values() if row["doc_type"] == kind] for kind in ("game_tick", "game")]
    with tempfile.TemporaryDirectory() as folder:
        store(Path(folder), *(message(seq, *part) for seq, part in enumerate(by_type, 1) if part), message(9))
        found = select(
            Path(folder),
            "SELECT game_id, ended, last_tick, direct, filled, missing, missing_ticks, complete FROM game_completeness"
            " WHERE last_tick IS NOT NULL",
        )
    wanted = {name: known for name, known in completeness(rows.values()).items() if known.last_tick is not None}
    assert {row[0] for row in found} == set(wanted)
    for game_id, *said, missing_ticks, complete in found:
        known = wanted[game_id]
        assert said == [known.ended, known.last_tick, known.direct_ticks, known.filled_ticks, known.missing_ticks]
        assert [(run["first"], run["last"]) for run in missing_ticks] == known.missing
        assert complete == known.complete


def test_the_longest_game_is_as_long_as_derivation_takes_it() -> None:
    assert games.LAST_TICK == MAX_TICK
