"""From stored events to lines of the old formats. Pure: the same events give the same lines.

A line is either `raw`, the bytes of an imported line as they are, or told: made of the event as
the old recorder would have written it. `Teller` makes those of captures, `GameTeller` those of
games; export writes what they give, and the importer of an exported file asks them again whether
a line is what the stored event gives.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from itertools import groupby
from typing import Any, Final, NamedTuple

from rugs_legacy import old_records
from rugs_legacy.line_formats.stored import Games, Stored
from rugs_legacy.line_formats.telling import tell
from rugs_legacy.lines import PIECE
from rugs_proto.arguments import payload_of

_RECORDED: Final = ("event", "binary_event", "connect", "disconnect", "connect_error")
"""Packets that the old recorder heard of; what keeps a connection alive it did not."""
_TICK_KEYS: Final = ("tick", "price", "phase", "active", "rugged", "cooldown_timer", "trade_count")
_AS_THE_FEED_SAYS: Final = {
    "tick": "tickCount",
    "price": "price",
    "active": "active",
    "rugged": "rugged",
    "cooldown_timer": "cooldownTimer",
    "trade_count": "tradeCount",
}


class Line(NamedTuple):
    """A line without its newline, and the event that it is.

    Attributes:
        recording: what it belongs to: source and session, and for a captured game its id and where it begins.
        ts: when the event was, microseconds since the epoch, UTC.
        is_raw: whether it is what was received, byte for byte.
    """

    recording: tuple[str, ...]
    source: str
    session_id: str
    seq: int
    ts: int
    is_raw: bool
    content: bytes


def raw_line(row: Stored) -> bytes | None:
    """Return an imported line as it stood; None where the event is not one, or has several lines."""
    if row.source != "import" or row.bytes is None:
        return None
    content = row.bytes.encode() if isinstance(row.bytes, str) else row.bytes
    return None if b"\n" in content else content


def _as_they_stood(rows: Iterable[Stored], left_out: Counter[str]) -> Iterator[Stored]:
    """Give events without those whose bytes stand in a rejected line before them: they were salvaged out of it.

    Of a rejected line too long to be held there are pieces, which are no lines.
    """
    damaged, content, end = ("", "", 0), b"", ("", "", 0)
    for row in rows:
        place = (row.source, row.session_id, row.seq)
        if damaged[:2] == place[:2]:
            start, raw = row.seq - damaged[2], (row.raw or "").encode()
            if raw and content[start : start + len(raw)] == raw:
                continue
        if row.doc_type == "reject" and (line := raw_line(row)) is not None:
            if len(line) == PIECE or place == end:
                left_out["piece of a line"] += 1
                end = (*place[:2], row.seq + len(line))
                continue
            damaged, content = place, line
        yield row


class Teller:
    """Writes captured events as records of a raw capture (F9), times in `zone`.

    `everything` says that also what the old recorder did not hear of becomes a line: what was
    sent, acknowledgements, pings. `left_out` counts, by reason, what does not.
    """

    def __init__(self, zone: tzinfo, *, everything: bool = False) -> None:
        self.left_out: Counter[str] = Counter()
        self._zone = zone
        self._everything = everything

    def lines(self, rows: Iterable[Stored], *, in_one: bool = False) -> Iterator[Line]:
        """Give a line for each event of raw captures: imported ones, and damaged ones, as they stood.

        The others are numbered by their place in the file: that of their session, or `in_one` of all.
        """
        for _, recording in groupby(rows, lambda row: () if in_one else (row.source, row.session_id)):
            number = 1
            for row in _as_they_stood(recording, self.left_out):
                content = raw_line(row)
                is_raw = content is not None
                if not is_raw and row.doc_type != "reject":
                    content = self.tell(row, number)
                if content is not None:
                    yield _line_of((row.source, row.session_id), row, content, is_raw=is_raw)
                    number += 1

    def numbered(self, rows: Iterable[Stored]) -> Iterator[Line]:
        """Give a line for each event, all in the one form, numbered from 1."""
        number = 1
        for row in rows:
            if (content := self.tell(row, number)) is not None:
                yield _line_of((), row, content)
                number += 1

    def tell(self, row: Stored, number: int) -> bytes | None:
        """Return an event as a record with that `seq`; None where it is none."""
        telling = tell(row.bytes)
        if telling is None:
            self.left_out["tells of no event" if row.bytes is not None else "has no bytes"] += 1
            return None
        if not self._everything and row.direction != "received":
            self.left_out[row.direction] += 1
            return None
        if not self._everything and telling.packet not in _RECORDED:
            self.left_out[telling.packet] += 1
            return None
        data = None if telling.packet == "connect" and not self._everything else telling.data
        at = old_records.local_time(row.ts, self._zone)
        return _line(old_records.capture(number, at, telling.event, data))


class GameTeller:
    """Writes captured games as the per-game recorder did (F1), times in `zone`.

    Each state that the feed told becomes a tick, with the old recorder's phase, and what it filled in.
    """

    def __init__(self, zone: tzinfo) -> None:
        self.left_out: Counter[str] = Counter()
        self._zone = zone
        self._summary = old_records.Summary()
        self._phase: str | None = None

    def games(self, rows: Iterable[Stored], known: Games) -> Iterator[Line]:
        """Give start, ticks and end of each game; the events of a session follow each other, in their order.

        A game ends where its session's next one begins: one that goes on, or that is cut short, has no end.
        Of those told twice a program's own ticks are left out: the feed's states are there.
        """
        game: tuple[str, ...] = ()
        key: tuple[str, ...] | None = None
        last: Stored | None = None
        for row in rows:
            of = (row.source, row.session_id, str(row.game_id))
            if row.doc_type == "game_tick" and of in known.told_twice:
                self.left_out["ticks told twice"] += 1
                continue
            if of != game:
                game, key, last = of, None, None
                self.begin()
            record = self.tick(row)
            if record is None:
                self.left_out["tells of no tick"] += 1
            else:
                if key is None:
                    key = (*of, str(row.seq))
                    yield _line_of(key, row, self.start(row))
                self.take(record)
                yield _line_of(key, row, _line(record))
                last = row
            if (row.source, row.session_id, row.seq) in known.ends:
                if key is not None and last is not None:
                    yield _line_of(key, last, self.end(last))
                game = ()

    def lines(self, rows: Iterable[Stored]) -> Iterator[Line]:
        """Give the lines of imported per-game files, and damaged ones, as they stood."""
        for row in _as_they_stood(rows, self.left_out):
            if (content := raw_line(row)) is not None:
                yield _line_of((row.source, row.session_id), row, content, is_raw=True)

    def begin(self) -> None:
        """Know nothing of a game yet."""
        self._summary = old_records.Summary()
        self._phase = None

    def start(self, row: Stored) -> bytes:
        """Return the first line of the game that begins with this event."""
        self.begin()
        return _line(old_records.game_start(self._at(row), str(row.game_id)))

    def tick(self, row: Stored) -> old_records.Record | None:
        """Return an event as a tick; None where it tells of none."""
        telling = tell(row.bytes)
        if row.doc_type == "ws_event":
            state = payload_of(telling.data) if telling is not None else None
            return self._record(row, state) if isinstance(state, dict) else None
        return self._known_tick(row, _object(row.raw))

    def take(self, record: old_records.Record) -> None:
        """Count a tick in, for what follows it and for the game's end."""
        self._summary.add(record)
        self._phase = record["phase"]

    def is_tick(self, row: Stored, line: bytes) -> bool:
        """Return whether a line is what `tick` makes of the event; if so it is counted in."""
        record = self.tick(row)
        if record is None or _line(record) != line:
            return False
        self.take(record)
        return True

    def end(self, row: Stored) -> bytes:
        """Return the last line of the game that ends with this event."""
        return _line(self._summary.game_end(self._at(row), str(row.game_id)))

    def _known_tick(self, row: Stored, written: dict[str, Any]) -> old_records.Record:
        """Return a tick that a program told of, as it wrote it where its bytes say, else as it was stored."""
        known = {key: written.get(key, getattr(row, key)) for key in _TICK_KEYS}
        state = {key: known[name] for name, key in _AS_THE_FEED_SAYS.items() if known[name] is not None}
        record = self._record(row, state)
        return record if known["phase"] is None else {**record, "phase": known["phase"]}

    def _record(self, row: Stored, state: Mapping[str, Any]) -> old_records.Record:
        return old_records.tick(self._at(row), str(row.game_id), state, self._phase)

    def _at(self, row: Stored) -> str:
        return old_records.local_time(row.ts, self._zone)


def _line_of(recording: tuple[str, ...], row: Stored, content: bytes, *, is_raw: bool = False) -> Line:
    return Line(recording, row.source, row.session_id, row.seq, row.ts, is_raw, content)


def _line(record: old_records.Record) -> bytes:
    return old_records.line(record)


def _object(raw: str | None) -> dict[str, Any]:
    try:
        found = json.loads(raw) if raw is not None else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
