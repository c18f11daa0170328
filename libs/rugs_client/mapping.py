"""What the events of a REPLAYER-style bus mean, by the names of its `Events` members. No I/O.

The traps are the bus's: WS_RAW_EVENT is wrapped twice; live ticks and game starts are published
by two producers; the end of each game is announced twice; trades do not say their game; the playback of a file
publishes the same events as a live game.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypedDict

from rugs_client.plain import plain, text
from rugs_core.time import now_us
from rugs_proto.arguments import payload_of
from rugs_proto.rules import DIRECTIONS, TS_END_US, TS_MIN_US

PLAYBACK: Final = "replay"
"""The source of what happens while a file is played back: it must never be taken for live."""

_PLAYER_ACTIONS: Final = ("TRADE_", "BOT_ACTION", "BOT_DECISION", "SELL_PERCENTAGE", "POSITION_", "BUTTON_")
_ACTIONS: Final = {"TRADE_BUY": "buy", "TRADE_SELL": "sell", "TRADE_SIDEBET": "sidebet"}
_NUMBERS: Final = ("price", "amount", "cash", "position_qty", "avg_cost", "total_invested", "cumulative_pnl")
"""Fields that the lake keeps as numbers; a Decimal of more digits than a number has stays beside them as text."""
_PRODUCERS_SAY: Final = ("mode", "source", "index", "live_mode")
"""Keys that tell the two producers of a live event apart."""
_OF_A_GAME: Final = (*_PLAYER_ACTIONS, "GAME_", "RUG_")
"""Events that belong to the current game, whether they say it or not."""
_STATE: Final = "gameStateUpdate"
_REMEMBERED: Final = 1024
_WRAPPED: Final = 8
"""How often a frame may be wrapped."""


class Publication(TypedDict, total=False):
    """What `Publisher.publish` is to be given."""

    event: str
    doc_type: str
    source: str | None
    direction: str
    ts: int | None
    game_id: str | None
    player_id: str | None
    username: str | None
    fields: dict[str, Any]
    raw: str | bytes | None


class _Current:
    """Which game is going on, as far as events say it, and which ended last."""

    def __init__(self) -> None:
        self.game_id: str | None = None
        self.ended: str | None = None

    def see(self, game_id: object) -> None:
        """Note a game that a tick or a state is of; late ones of a game that has ended do not begin it again."""
        if isinstance(game_id, str) and game_id != self.ended:
            self.game_id = game_id

    def start(self, game_id: object) -> None:
        """Note the start of a game."""
        self.ended = None
        self.see(game_id)

    def end(self, game_id: object) -> bool:
        """Note the end of a game; return False if its end is known already."""
        if not isinstance(game_id, str):
            return True
        if game_id == self.ended:
            return False
        self.ended = game_id
        if self.game_id == game_id:
            self.game_id = None
        return True


class Mapper:
    """Turns the events of one bus into publications. It remembers what it has to: one object for one bus.

    `left_out` counts what is not to be stored: the second telling of a live event, and
    the ticks of a file that is played back, which are in the file. The second announcement of a game's end
    is stored, as an event of its own: it may say more than the first, and `game.end` stands for one game each.
    """

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        self._playing_back = False
        self._live, self._played = _Current(), _Current()
        self._told: dict[str, dict[object, int]] = {}

    def publication(self, member: str, value: str, data: object) -> Publication | None:
        """Return what to publish for an event, None for nothing.

        `member` and `value` are the enum member's, `data` is what was published.
        """
        if member == "WS_RAW_EVENT":
            frame = _frame(data)
            if frame["event"] == _STATE and frame["direction"] == "received":
                self._live.see(frame.get("game_id"))
            return frame
        if member == "GAME_TICK":
            return self._tick(value, data)
        if member == "PLAYER_UPDATE":
            return _player_update(value, data)
        return self._other(member, value, data)

    def _other(self, member: str, value: str, data: object) -> Publication | None:
        content = data if isinstance(data, Mapping) else {}
        playback = self._is_playback(member, content)
        current = self._played if playback else self._live
        game_id = content.get("game_id")
        if member == "GAME_START" and not playback and game_id and self._told_before(f"start of {game_id}"):
            self.left_out["game start told again"] += 1
            return None
        if member == "GAME_START":
            current.start(game_id)
        elif member.startswith(("FILE_", "REPLAY_")):
            self._played.ended = None  # the same game may be played again
        elif member == "GAME_END":
            if game_id is None:
                game_id = current.game_id or current.ended
            if not current.end(game_id):
                value = f"{value}.again"
        if game_id is None and member.startswith(_OF_A_GAME):
            game_id = current.game_id
        fields = _fields(data)
        if member in _ACTIONS:
            fields.setdefault("action", _ACTIONS[member])
        doc_type = "player_action" if member.startswith(_PLAYER_ACTIONS) else "system_event"
        source: str | None = "bot" if member.startswith("BOT_") else "ui"
        if member.startswith(("GAME_", "RUG_", "PLAYER_", "WS_")):
            source = None  # the publisher's own: the feed that the program listens to
        if playback or member.startswith(("FILE_", "REPLAY_")):
            source = PLAYBACK
        publication: Publication = {"event": value, "doc_type": doc_type, "source": source, "direction": "internal"}
        if isinstance(game_id, str):
            publication["game_id"] = text(game_id)
        return _with_names(publication, fields)

    def _is_playback(self, member: str, content: Mapping[str, Any]) -> bool:
        """Return whether an event belongs to a file that is played back, and remember what it says of that."""
        mode = content.get("mode")
        if mode is not None:
            self._playing_back = str(mode) == "file"
        elif content.get("live_mode"):
            self._playing_back = False
        elif member == "FILE_LOADED" and "filepath" in content:
            self._playing_back = True
        elif member.startswith(("WS_", "PLAYER_")) or member == "GAME_START" or "clean" in content:
            return False  # said by the live feed's controller, whatever the engine plays
        return self._playing_back

    def _tick(self, value: str, data: object) -> Publication | None:
        content = data if isinstance(data, Mapping) else {"tick": data}
        tick = content.get("tick")
        if "mode" in content and self._is_playback("GAME_TICK", content):
            self._played.see(_attribute(tick, "game_id"))
            self.left_out["tick of a file played back"] += 1
            return None
        fields = plain(tick)
        if not isinstance(fields, dict):
            return {"event": value, "doc_type": "game_tick", "direction": "received", "fields": _fields(data)}
        self._live.see(fields.get("game_id"))
        _keep_numbers(fields, tick)
        time = fields.pop("timestamp", None)
        producer = tuple(key in content for key in _PRODUCERS_SAY)
        if self._told_by_another(repr(fields), producer):
            self.left_out["tick told twice"] += 1
            return None
        # The program fills in 1.0 where the feed says no price; what the feed says is 1.
        cooldown = fields.get("cooldown_timer")
        if str(_attribute(tick, "price")) == "1.0" and isinstance(cooldown, int) and cooldown > 0:
            fields["is_filler"] = True
        return _timed(_with_names({"event": value, "doc_type": "game_tick", "direction": "received"}, fields), time)

    def _told_before(self, key: str) -> bool:
        known = key in self._told
        self._counts(key)
        return known

    def _told_by_another(self, key: str, producer: object) -> bool:
        """Return whether another producer has told this as often already; one may tell the same thing twice."""
        counts = self._counts(key)
        most = max(counts.values(), default=0)
        counts[producer] = counts.get(producer, 0) + 1
        return counts[producer] <= most

    def _counts(self, key: str) -> dict[object, int]:
        """Return how often each producer has told something, as far as that is remembered."""
        counts = self._told.get(key)
        if counts is None:
            counts = self._told[key] = {}
            if len(self._told) > _REMEMBERED:
                del self._told[next(iter(self._told))]
        return counts


def _frame(data: object) -> Publication:
    """Return a frame: `raw` as it came, where the event has it, else what was made of it, unchanged, as `data`."""
    frame = data
    for _ in range(_WRAPPED):
        if not isinstance(frame, Mapping) or "event" in frame or not isinstance(frame.get("data"), Mapping):
            break
        frame = frame["data"]
    if not isinstance(frame, Mapping):
        return {"event": "", "doc_type": "ws_event", "direction": "received", "fields": {"data": plain(data)}}
    rest = {str(key): inner for key, inner in frame.items()}
    raw = rest.pop("raw", None)
    raw = raw if isinstance(raw, str | bytes) else None
    publication: Publication = {"event": str(rest.pop("event", "")), "doc_type": "ws_event", "raw": raw}
    publication["direction"] = rest.pop("direction") if rest.get("direction") in DIRECTIONS else "received"
    if (source := _source(str(rest.get("source", "")), is_raw=raw is not None)) is not None:
        publication["source"] = source
        rest.pop("source", None)
    _name_whom_it_tells_of(publication, rest.get("data"))
    if raw is not None:
        rest.pop("data", None)
    time = rest.pop("timestamp", None)
    publication["fields"] = plain(rest)
    return _timed(publication, time if type(time) is str else plain(time))


def _source(said: str, *, is_raw: bool) -> str | None:
    """Return which of our sources a frame is of, by what it says itself; None where that is none of them."""
    if said == "websocket_feed":
        return "public_ws"
    return "cdp" if said.startswith("cdp") or (is_raw and not said) else None


def _name_whom_it_tells_of(publication: Publication, data: object) -> None:
    payload = payload_of(data)
    if isinstance(payload, Mapping):
        for key, name in (("gameId", "game_id"), ("playerId", "player_id"), ("username", "username")):
            if isinstance(payload.get(key), str):
                publication[name] = payload[key]  # type: ignore[literal-required]


def _player_update(value: str, data: object) -> Publication:
    content = data if isinstance(data, Mapping) else {"server_state": data}
    state = content.get("server_state")
    fields = plain(state)
    if isinstance(fields, dict):
        _keep_numbers(fields, state)
        fields |= plain({key: inner for key, inner in content.items() if key != "server_state"})
    else:
        fields = _fields(data)
    time = fields.pop("timestamp", None)
    return _timed(_with_names({"event": value, "doc_type": "server_state", "direction": "received"}, fields), time)


def _fields(data: object) -> dict[str, Any]:
    if data is None:
        return {}
    fields = plain(data)
    if not isinstance(fields, dict):
        return {"data": fields}
    _keep_numbers(fields, data)
    return fields


def _keep_numbers(fields: dict[str, Any], original: object) -> None:
    for key in _NUMBERS:
        if type(fields.get(key)) is str:
            value = _attribute(original, key)
            if isinstance(value, Decimal) and value.is_finite():
                fields[f"{key}_text"] = fields[key]
                fields[key] = float(value)


def _attribute(holder: object, key: str) -> object:
    return holder.get(key) if isinstance(holder, Mapping) else getattr(holder, key, None)


def _with_names(publication: Publication, fields: dict[str, Any]) -> Publication:
    for name in ("game_id", "player_id", "username"):
        if isinstance(fields.get(name), str):
            publication[name] = fields.pop(name)
    publication["fields"] = fields
    return publication


def _timed(publication: Publication, time: object) -> Publication:
    """Set the event's time; one that cannot be read stays in the fields."""
    ts = micros(time)
    if ts is not None:
        publication["ts"] = ts
    elif time is not None:
        publication["fields"]["timestamp"] = time
    return publication


def micros(time: object) -> int | None:
    """Return a time in microseconds since the Unix epoch, UTC, or None if it cannot be one.

    Takes ISO 8601 text, and numbers of seconds, milliseconds or microseconds. Without a zone it is this
    machine's, and in the hour that comes twice a year the one nearer to now.
    """
    ts: int | None = None
    if isinstance(time, str):
        try:
            moment = datetime.fromisoformat(time)
            ts = round(moment.timestamp() * 1e6)
            if moment.tzinfo is None:
                again = round(moment.replace(fold=1).timestamp() * 1e6)
                if again != ts:
                    now = now_us()
                    ts = min(ts, again, key=lambda one: abs(one - now))
        except (ValueError, OverflowError, OSError):
            return None
    elif isinstance(time, int | float) and not isinstance(time, bool) and abs(time) < 1e16:
        scale = 1_000_000 if abs(time) < 1e11 else 1000 if abs(time) < 1e14 else 1
        ts = round(time * scale)
    return ts if ts is not None and TS_MIN_US <= ts < TS_END_US else None
