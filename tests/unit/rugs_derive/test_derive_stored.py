"""Reading the lake as derivation does: in stream order, the last games, and how far it had come."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from rugs_derive import stored
from rugs_derive.causes import Cause, causes_in
from rugs_derive.stored import StoredEvents
from rugs_feed.derive import KEPT_GAMES
from rugs_proto import ids
from tests.support.lakekit import DAY_US, INCARNATION, NOON_US, add, commit, envelope, message, open_writer, tick

ANEW = "b" * 32


def state(seq: int, game: str, **changes: Any) -> dict[str, Any]:
    return envelope(seq, game_id=game, **changes)


def places(windows: Iterator[list[Cause]]) -> list[tuple[int, int]]:
    return [(cause.place, cause.heard.seq) for cause in chain.from_iterable(windows)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two lives of a stream: 40 states of 20 games in the first, a frame a message; 4 states in the second."""
    writer = open_writer(tmp_path)
    for seq in range(1, 41):
        add(writer, message(seq, state(seq, f"game-{(seq - 1) // 2}")))
    commit(writer, message(41, envelope(41, event="newChatMessage")), message(42, tick(3, cause="c" * 32)))
    writer.meet(ANEW, None)
    commit(
        writer,
        message(1, state(51, "game-19"), state(50, "game-19")),
        message(2, state(52, "new", ts=NOON_US + DAY_US)),
        message(3, state(1, "other", source="cdp", session_id="c", raw=b"\xff")),
    )
    writer.close()
    return tmp_path


def lives(root: Path) -> list[str]:
    with StoredEvents(root) as lake:
        return [life.incarnation for life in lake.lives()]


@pytest.mark.slow
def test_events_come_in_stream_order_and_those_of_a_message_by_their_numbers(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_MOST", 3)
    old, new = lives(root)
    with StoredEvents(root) as lake:
        assert places(lake.windows(old, 1, 1 << 50)) == [(seq, seq) for seq in range(1, 41)]
        assert places(lake.windows(old, 7, 9)) == [(7, 7), (8, 8), (9, 9)]
        assert places(lake.windows(new, 1, 9)) == [(1, 50), (1, 51), (2, 52), (3, 1)]
        assert places(lake.windows("unknown", 1, 9)) == []
        day = dt.date(2026, 6, 2)
        assert places(lake.windows(new, 1, 9, first=day, last=day)) == [(2, 52)]
        assert [life.events for life in lake.lives(day, None)] == [1]


def test_an_event_is_as_it_was_stored(root: Path) -> None:
    old, new = lives(root)
    assert (old, len(new)) == (INCARNATION, 32)
    with StoredEvents(root) as lake:
        first = next(lake.windows(old, 1, 1))[0].heard
        assert tuple(first) == (
            first.id, NOON_US + 1, None, "public_ws", "session-1", 1, "received", "gameStateUpdate",
            '42["gameStateUpdate",{"n":1}]',
        )  # fmt: skip
        assert next(lake.windows(new, 3, 3))[0].heard.raw == b"\xff"
        assert lake.raw("public_ws", "session-1", 1, first.id) == first.raw
        assert lake.raw("public_ws", "session-1", 1, "0" * 32) is None


def test_the_last_games_are_found_within_a_life_and_before_it(root: Path) -> None:
    old, new = lives(root)
    with StoredEvents(root) as lake:
        assert lake.spans(old, 40) == {"public_ws": (40 - 2 * KEPT_GAMES + 1, 40)}
        assert lake.spans(old, 5) == {"public_ws": (1, 5)}
        assert lake.spans(old, 0) == {}
        assert lake.spans(new, 0) == {"public_ws": (0, 0), "cdp": (0, 0)}
        assert lake.spans(new, 2) == {"public_ws": (0, 2), "cdp": (0, 0)}
        assert lake.spans("not met yet", 0) == {"public_ws": (0, 0), "cdp": (0, 0)}
        before = lake.before(new, "public_ws")
        assert [cause.heard.seq for cause in before] == list(range(40 - 2 * KEPT_GAMES + 1, 41))
        assert {cause.place for cause in before} == {0}
        assert lake.before(old, "public_ws") == []


def test_how_far_derivation_had_come_is_one_batch_before_the_last_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "LARGEST_BATCH", 4)
    writer = open_writer(tmp_path)
    add(writer, *(message(seq, state(seq, "game")) for seq in range(1, 21)))
    commit(writer, message(21, tick(0, "game", seq=15)), message(22, tick(1, "game", seq=2)))
    writer.close()
    with StoredEvents(tmp_path) as lake:
        assert lake.derived_to(INCARNATION) == 11
        assert lake.derived_to(ANEW) == 0


def test_what_was_read_out_of_a_document_is_no_cause(tmp_path: Path) -> None:
    """Its ticks were read out with it, and it has no bytes of its own: it is not unreadable."""
    known: dict[str, Any] = {"source": "import", "session_id": "array", "cause": "d" * 32, "raw": ...}
    told = [state(1, "g", id=ids.derived_id("ws_event", "d" * 32, number), **known) for number in (0, 1)]
    read_out = message(2, *told)
    writer = open_writer(tmp_path)
    commit(writer, message(1, state(1, "live")), read_out, message(3, tick(0, "g", **known)))
    writer.close()
    assert causes_in(read_out) == []
    with StoredEvents(tmp_path) as lake:
        assert places(lake.windows(INCARNATION, 1, 9)) == [(1, 1)]
        assert [life.events for life in lake.lives()] == [1]
        assert lake.spans(INCARNATION, 9) == {"public_ws": (1, 1)}
        assert lake.derived_to(INCARNATION) == 0
