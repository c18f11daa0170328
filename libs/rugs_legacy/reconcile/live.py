"""Both sides of a comparison with what was captured live: files that somebody wrote from the same events.

Such a file's bytes are nowhere in the data set. So the stored events are written as the old recorder
wrote them, and matched with the file's records: ticks by game, tick, phase, rugged and timer, and
captured events by name and data, in their order. A file is compared with the session that fits it best;
files that are parts of one game, together.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from rugs_core.time import date_of
from rugs_legacy.clock import zone
from rugs_legacy.envelopes import Envelope
from rugs_legacy.line_formats.lines import GameTeller, Teller
from rugs_legacy.line_formats.request import Format, Request
from rugs_legacy.line_formats.stored import COLUMNS, FRAMES, TICKS_TOLD, Stored, fetch, stream
from rugs_legacy.reconcile.compare import Group, Pair, Row, pairs, session_of
from rugs_legacy.reconcile.imported import is_recent, where_in_file

if TYPE_CHECKING:
    from rugs_lake.read.reader import Lake

_PLACE: Final = ("tick", "phase", "rugged", "cooldown_timer")
_VALUES: Final = ("price", "active", "trade_count")
_TICK: Final = "tick"
_UTC: Final = zone("UTC")


def live_pairs(lake: Lake, files: Sequence[tuple[str, Iterable[Envelope]]], at: int) -> list[Pair] | None:
    """Return the pairs of files, each a session, and what was captured live of the same games, or in that time.

    `at` is when the files were looked at, in microseconds, UTC: their rows of the seconds before may be on their way.
    None if nothing in the data set fits. The records of the files are held in memory, some 300 bytes each.
    """
    ticks: dict[str, list[list[Row]]] = {}
    found: list[Pair] = []
    for session, envelopes in files:
        of_file: dict[str, list[Row]] = {}
        events: list[tuple[Row, int]] = []
        for envelope in envelopes:
            if envelope["doc_type"] == "game_tick" and envelope.get("game_id") is not None and "raw" in envelope:
                of_file.setdefault(envelope["game_id"], []).append(_tick_of_file(session, envelope, at))
            elif envelope["doc_type"] == "ws_event" and "raw" in envelope:
                record = _object(envelope["raw"])
                group = _group(session, envelope.get("game_id"), envelope["ts"], envelope["event"])
                row = _event_row(group, record.get("data"), where_in_file(envelope), recent=is_recent(envelope, at))
                events.append((row, envelope["ts"]))
        for game, rows in of_file.items():
            ticks.setdefault(game, []).append(sorted(rows, key=_order))
        if events:
            first, last = min(ts for _, ts in events), max(ts for _, ts in events)
            found += _best(_numbered(row for row, _ in events), _events_between(lake, session, first, last))
    for game, of_files in ticks.items():
        found += _of_game(lake, game, of_files)
    return sorted(found, key=session_of) if any(pair.is_equal for pair in found) else None


def games_of(found: Iterable[Pair]) -> set[str]:
    """Return the games whose ticks the files of these pairs have."""
    groups = (pair.file.group for pair in found if pair.file is not None)
    return {group.game for group in groups if group.game is not None and group.event == _TICK}


def _of_game(lake: Lake, game: str, files: list[list[Row]]) -> list[Pair]:
    """Return the pairs of the ticks that files have of a game.

    A file that is not the whole game may be a part of it, as others are: those are compared together, where fewer
    rows differ then.
    """
    session = files[0][0].group.session  # the pairs are counted in one
    candidates = [*_ticks_of_game(lake, session, game)]
    whole: list[Pair] = []
    parts: list[Pair] = []
    rows: list[Row] = []
    for file in files:
        of_file = [row._replace(group=row.group._replace(session=session)) for row in file]
        found = _best(of_file, candidates)
        if _unlike(found):
            parts += found
            rows += of_file
        else:
            whole += found
    joined = _best(sorted(rows, key=_order), candidates)
    return whole + (joined if _unlike(joined) < _unlike(parts) else parts)


def _unlike(found: Iterable[Pair]) -> int:
    return sum(not pair.is_equal for pair in found)


def _best(files: list[Row], candidates: Iterable[list[Row]]) -> list[Pair]:
    """Return the pairs with the candidate that fits best; with none, if nothing fits at all."""
    best = [*pairs(files, [])]
    most = 0
    for candidate in candidates:
        found = [*pairs(files, candidate)]
        equal = sum(pair.is_equal for pair in found)
        if equal > most:
            best, most = found, equal
    return best


def _tick_of_file(session: str, envelope: Envelope, at: int) -> Row:
    group = _group(session, envelope["game_id"], envelope["ts"], _TICK)
    row = _tick_row(group, _object(envelope["raw"]), where_in_file(envelope))
    return row._replace(recent=is_recent(envelope, at))


def _ticks_of_game(lake: Lake, session: str, game: str) -> Iterator[list[Row]]:
    """Give the ticks of a game as the old recorder would have written them, by the session that captured it."""
    query = f"SELECT {COLUMNS} FROM events WHERE {TICKS_TOLD} AND source != 'import' AND game_id = ?"  # noqa: S608
    stored = fetch(lake, f"{query} ORDER BY source, session_id, seq, id", [game])
    for _, rows in groupby(stored, lambda row: (row.source, row.session_id)):
        told: dict[str, list[Row]] = {"ws_event": [], "game_tick": []}
        tellers = {doc_type: GameTeller(_UTC) for doc_type in told}
        for row in rows:
            teller = tellers[row.doc_type]
            record = teller.tick(row)
            if record is not None:
                teller.take(record)
                group = _group(session, game, row.ts, _TICK)
                told[row.doc_type].append(_tick_row(group, record, _where(row)))
        yield sorted(told["ws_event"] or told["game_tick"], key=_order)


def _events_between(lake: Lake, session: str, first: int, last: int) -> Iterator[list[Row]]:
    """Give the events of that time as records of a raw capture, by the session that captured them."""
    request = Request(Format.RAW, since=first, until=last + 1)
    stored = stream(lake, request, f"{FRAMES} AND source != 'import'", "source, session_id, seq")
    teller = Teller(_UTC)
    for _, rows in groupby(stored, lambda row: (row.source, row.session_id)):
        told = []
        for row in rows:
            content = teller.tell(row, row.seq)
            if content is not None:
                group = _group(session, row.game_id, row.ts, row.event)
                told.append(_event_row(group, json.loads(content)["data"], _where(row)))
        yield _numbered(told)


def _tick_row(group: Group, record: dict[str, Any], where: str) -> Row:
    """Return a tick's row. `1` and `1.0` are two things: what is written in its place tells them apart."""
    key = tuple(json.dumps(record.get(name)) for name in _PLACE)
    values = {name: json.dumps(record.get(name)) for name in _VALUES}
    return Row(key, json.dumps([key, values]), group, values, None, where)


def _event_row(group: Group, data: object, where: str, *, recent: bool = False) -> Row:
    digest = sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    return Row((group.event, digest), digest, group, {}, None, where, recent=recent)


def _numbered(rows: Iterable[Row]) -> list[Row]:
    """Return rows sorted, those of equal name and data told apart by their order."""
    seen: Counter[tuple[Any, ...]] = Counter()
    numbered = []
    for row in rows:
        seen[row.key] += 1
        numbered.append(row._replace(key=(*row.key, seen[row.key])))
    return sorted(numbered, key=_order)


def _order(row: Row) -> tuple[Any, ...]:
    return row.key


def _group(session: str, game: str | None, ts: int, event: str) -> Group:
    return Group(session, game, date_of(ts).isoformat(), event)


def _where(row: Stored) -> str:
    return f"{row.source}/{row.session_id}:{row.seq}"


def _object(raw: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
