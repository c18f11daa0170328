"""From captured events to what is added to files: one raw capture (F9) a session, one file (F1) a game.

Pure but for what it asks of the folder: which names are taken, and what a file of an unfinished
game holds already. So the same events, from the same state on, give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final, NamedTuple

from rugs_legacy.line_formats.lines import GameTeller, Teller
from rugs_legacy.line_formats.stored import Stored
from rugs_legacy.old_names import capture_name, free_name, game_name
from rugs_legacy.old_records import line, local_time

MOST_SESSIONS: Final = 64
"""Sessions whose files may still grow. Of one that has been silent for longest nothing is known any more."""
_STATES: Final = "gameStateUpdate"


@dataclass
class File:
    """A file that may grow; `size` in bytes, with all that was told of it."""

    name: str
    size: int = 0


@dataclass
class Game:
    """A game that has not ended. `last_at` is the time of its last tick, microseconds, UTC."""

    game_id: str
    file: File
    last_at: int
    teller: GameTeller


@dataclass
class Session:
    """A session and its files. `last_seq` is the position of its last event, `records` how many its capture has."""

    last_seq: int = 0
    records: int = 0
    capture: File | None = None
    game: Game | None = None


class Addition(NamedTuple):
    """What is added to a file that had `start` bytes, or to a new one."""

    name: str
    start: int
    is_new: bool
    content: bytes


class Batch(NamedTuple):
    """Additions, and the state behind them: `sessions` can be JSON, `sizes` is by file, of all that may be checked."""

    additions: list[Addition]
    sessions: dict[str, Any]
    sizes: dict[str, int]


class Recorder:
    """Tells what the old recorders would have written, times in `zone`.

    `is_taken` says whether a name is in use; `read` gives the first bytes of a file. `sessions` is
    what an earlier recorder's last batch said of its own.

    Attributes:
        lines: how many were told.
        repeated: events left out because their session has come as far before.
        untold: records left out because Python's JSON cannot write them.
    """

    def __init__(
        self,
        zone: tzinfo,
        is_taken: Callable[[str], bool],
        read: Callable[[str, int], bytes],
        sessions: dict[str, Any] | None = None,
    ) -> None:
        self.lines = 0
        self.repeated = 0
        self.untold = 0
        self.pending_bytes = 0
        self._zone = zone
        self._is_taken = is_taken
        self._captures = Teller(zone)
        self._sessions = {name: self._known(told, read) for name, told in (sessions or {}).items()}
        self._additions: dict[str, tuple[int, bool, list[bytes]]] = {}

    def take(self, event: Stored) -> None:
        """Tell an event; those of a session come in order."""
        session = self._sessions.pop(event.session_id, None) or Session()
        self._sessions[event.session_id] = session
        if len(self._sessions) > MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        if event.seq <= session.last_seq:
            self.repeated += 1
            return
        session.last_seq = event.seq
        for tell in (self._tell_capture, self._tell_game):
            try:
                tell(session, event)
            except (RecursionError, ValueError):  # nested so deep, or a number so long, that Python's JSON gives up
                self.untold += 1

    def cut(self) -> Batch:
        """Return what was told since the last time, and begin a new batch."""
        additions = [
            Addition(name, start, is_new, b"".join(lines)) for name, (start, is_new, lines) in self._additions.items()
        ]
        sizes = {each.name: each.start + len(each.content) for each in additions}
        for session in self._sessions.values():
            sizes |= {file.name: file.size for file in _files(session)}
        self._additions, self.pending_bytes = {}, 0
        return Batch(additions, {name: _told(session) for name, session in self._sessions.items()}, sizes)

    def _tell_capture(self, session: Session, event: Stored) -> None:
        content = self._captures.tell(event, session.records + 1)
        if content is None:
            return
        if session.capture is None:
            session.capture = self._create(capture_name(self._local(event)))
        session.records += 1
        self._add(session.capture, content)

    def _tell_game(self, session: Session, event: Stored) -> None:
        if event.event != _STATES or event.direction != "received" or event.game_id is None:
            return
        game = session.game
        goes_on = game is not None and game.game_id == event.game_id
        teller = game.teller if game is not None and goes_on else GameTeller(self._zone)
        record = teller.tick(event)
        if record is None:
            return
        content = line(record)  # before anything changes: it may fail
        if game is not None and not goes_on:
            self._add(game.file, game.teller.end(event._replace(ts=game.last_at, game_id=game.game_id)))
        if game is None or not goes_on:
            file = self._create(game_name(self._local(event), event.game_id))
            game = session.game = Game(event.game_id, file, event.ts, teller)
            self._add(file, teller.start(event))
        game.teller.take(record)
        game.last_at = event.ts
        self._add(game.file, content)

    def _create(self, wanted: str) -> File:
        name = free_name(wanted, lambda name: name in self._additions or self._is_taken(name))
        self._additions[name] = (0, True, [])
        return File(name)

    def _add(self, file: File, content: bytes) -> None:
        whole = content + b"\n"
        self._additions.setdefault(file.name, (file.size, False, []))[2].append(whole)
        file.size += len(whole)
        self.pending_bytes += len(whole)
        self.lines += 1

    def _local(self, event: Stored) -> datetime:
        return datetime.fromisoformat(local_time(event.ts, self._zone))

    def _known(self, told: dict[str, Any], read: Callable[[str, int], bytes]) -> Session:
        session = Session(told["last_seq"], told["records"])
        if told["capture"] is not None:
            session.capture = File(**told["capture"])
        if (game := told["game"]) is not None:
            file = File(**game["file"])
            teller = _counted(GameTeller(self._zone), read(file.name, file.size).splitlines())
            session.game = Game(game["game_id"], file, game["last_at"], teller)
        return session


def _counted(teller: GameTeller, lines: Iterable[bytes]) -> GameTeller:
    """Return the teller of a game whose ticks stand in its file: they are all that it knows of it."""
    for each in lines:
        with suppress(ValueError, LookupError, TypeError, RecursionError):  # somebody else wrote into it
            record = json.loads(each)
            if record["type"] == "tick":
                teller.take(record)
    return teller


def _files(session: Session) -> list[File]:
    files = [] if session.capture is None else [session.capture]
    return files if session.game is None else [*files, session.game.file]


def _told(session: Session) -> dict[str, Any]:
    game = session.game
    return {
        "last_seq": session.last_seq,
        "records": session.records,
        "capture": None if session.capture is None else vars(session.capture).copy(),
        "game": None
        if game is None
        else {"game_id": game.game_id, "file": vars(game.file).copy(), "last_at": game.last_at},
    }
