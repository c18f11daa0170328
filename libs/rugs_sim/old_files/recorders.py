"""What the old recorders would have written of a made-up feed: lines, byte for byte in their style."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from rugs_core.time import from_us
from rugs_legacy import old_records
from rugs_legacy.old_records import line as _line
from rugs_sim.made_up.feed import Feed, Sent

_NEW_YORK: Final = ZoneInfo("America/New_York")
_RECORDER_DELAY_US: Final = 350


def local(at: int) -> str:
    """Return a time as a recorder in New York wrote it: without a zone."""
    return old_records.local_time(at, _NEW_YORK)


def utc(at: int) -> str:
    """Return a time as a recorder wrote it that took UTC: without a zone all the same."""
    return from_us(at).replace(tzinfo=None).isoformat()


def _aware(at: int) -> str:
    return from_us(at).isoformat()


def raw_capture(feed: Feed, lines: int, *, skip: int = 0) -> Iterator[bytes]:
    """Give lines of F9; `skip` says how many events were missed before the recorder was started."""
    events = islice(feed.events(), skip, None)
    first = next(events)
    yield _line(old_records.capture(1, local(first.at - 300_000), "connect", None))
    for seq, sent in zip(range(2, lines + 1), _chain(first, events), strict=False):
        yield _line(old_records.capture(seq, local(sent.at), sent.event, old_records.data_of(list(sent.arguments))))


def cdp_capture(feed: Feed, lines: int, *, skip: int = 0) -> Iterator[bytes]:
    """Give lines of F10: first arguments only, so that a traced event is nothing but its trace."""
    asked = [("chatHistory", None), ("getLeaderboard", {"period": "7d"}), ("authenticate", {"__trace": True})]
    events = islice(feed.events(), skip, None)
    seq = 0
    for sent in events:
        while asked:
            event, data = asked.pop(0)
            seq += 1
            yield _cdp_line(seq, sent.at - 900_000 + seq * 71, event, data, "sent")
        seq += 1
        yield _cdp_line(seq, sent.at, sent.event, sent.arguments[0], "received")
        if sent.event == "gameStateUpdate" and seq < lines:
            seq += 1
            data = feed.rugpool_of(sent.arguments[0]["gameId"])
            yield _cdp_line(seq, sent.at + 900, "gameStatePlayerUpdate", data, "received")
        if seq >= lines:
            return


def _cdp_line(seq: int, at: int, event: str, data: object, direction: str) -> bytes:
    record = {"seq": seq, "ts": _aware(at), "event": event, "data": data}
    return _line({**record, "source": "cdp_intercept", "direction": direction})


def _chain(first: Sent, others: Iterator[Sent]) -> Iterator[Sent]:
    yield first
    yield from others


def games(feed: Feed, *, numbered: bool = False, with_status: bool = False) -> Iterator[list[bytes]]:
    """Give the lines of one F1 file after the other, a whole game each.

    The recorder's generations differ in what they wrote at start and end: `numbered` from the
    second on, `with_status` in the third.
    """
    number = 0
    lines: list[bytes] = []
    ticks: list[dict[str, Any]] = []
    for sent in feed.events():
        if sent.event != "gameStateUpdate":
            continue
        (state,) = sent.arguments
        if ticks and state["gameId"] != ticks[0]["game_id"]:
            lines.append(_game_end(ticks, sent.at, {"status": "complete"} if with_status else {}))
            if ticks[0]["cooldown_timer"]:  # from its beginning on
                yield lines
            ticks = []
        if not ticks:
            number += 1
            begun = old_records.game_start(local(sent.at), state["gameId"])
            lines = [_line({**begun, "session_game_number": number} if numbered else begun)]
        before = ticks[-1]["phase"] if ticks else None
        ticks.append(old_records.tick(local(sent.at + _RECORDER_DELAY_US), state["gameId"], state, before))
        lines.append(_line(ticks[-1]))


def session(feed: Feed, name: str, count: int) -> list[bytes]:
    """Return the lines of an F2 file with `count` games."""
    lines: list[bytes] = []
    total = 0
    for number, game in enumerate(islice(games(feed), count), 1):
        ticks = [json.loads(line) for line in game[1:-1]]
        if not lines:
            began = {"type": "session_start", "timestamp": ticks[0]["timestamp"], "session_id": name}
            lines.append(_line({**began, "starting_balance": 0.05, "max_games": count}))
        lines += game[1:-1]
        total += len(ticks)
        last = json.loads(game[-1])
        complete = {"type": "game_complete", "timestamp": last["timestamp"], "game_id": last["game_id"]}
        result = {"game_number": number, "final_tick": last["tick_range"][1], "peak_multiplier": last["peak_price"]}
        lines.append(_line({**complete, **result, "server_seed": last["game_id"][-16:] + "0000"}))
    ended = {"type": "session_end", "timestamp": last["timestamp"], "total_games": count, "total_ticks": total}
    return [*lines, _line({**ended, "ending_balance": None})]


def _game_end(ticks: list[dict[str, Any]], at: int, status: dict[str, str]) -> bytes:
    summary = old_records.Summary()
    for tick in ticks:
        summary.add(tick)
    ended = summary.game_end(local(at), ticks[0]["game_id"])
    return _line({**ended, **status})
