"""Derivation: what follows from the events that were received.

`Deriver` reads `ws_event`s in stream order and gives the envelopes that follow from each:

===========================  ============================================================
from                         comes
===========================  ============================================================
gameStateUpdate              `game_tick`: its own tick, and those that only its prices tell
gameStateUpdate              `game`: each completed game that its history tells of
playerUpdate,                `server_state`
gameStatePlayerUpdate
connect, disconnect,         `system_event`
connect_error
===========================  ============================================================

No rule gives a `ws_event`. A derived envelope takes source, session, seq and times from its
cause, and names it. Its id is its natural key, so that whatever is derived twice is the same
row: a deriver may be thrown away at any moment and made anew, if it reads again from the first
frame of each of the last `KEPT_GAMES` games of every source. An event that a rule cannot
digest is counted and skipped.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from rugs_feed import games
from rugs_feed.checks import Tally
from rugs_feed.extract import Extract, extract
from rugs_feed.normalise import Told, read_raw
from rugs_feed.phases import allows_pre_round_buys
from rugs_feed.ticks import Ticks
from rugs_proto import ids
from rugs_proto.rules import WIRE_VERSION

RULES_VERSION: Final = 2
"""Goes up when the same events give other rows: then they want to be derived again."""
KEPT_GAMES: Final = 8
"""Games of each source whose ticks are remembered: the end of one is told when the next has begun."""
KEPT_TELLINGS: Final = 32
"""Completed games remembered: each is given once, and a later telling compared with the first."""

STATE: Final = "gameStateUpdate"
"""The event that says how a game stands."""

Derived = dict[str, Any]
"""An envelope as the map that travels (see `rugs_proto.codec.to_map`)."""


class Heard(NamedTuple):
    """A stored `ws_event`, as far as derivation needs it. Times are microseconds, UTC."""

    id: str
    ts: int
    recv_ts: int | None
    source: str
    session_id: str
    seq: int
    direction: str
    event: str
    raw: str | bytes | None


class UndigestedError(Exception):
    """An event says too little, or something else than it should, to derive anything from it."""


class Deriver:
    """The state machine. Pure: the same events in the same order give the same envelopes.

    `tally` has what was derived, skipped and checked. A rule counts what it cannot digest
    under `<doc type>.undigested.<why>`.
    """

    def __init__(self, tally: Tally | None = None) -> None:
        self.tally = Tally() if tally is None else tally
        self._games: dict[str, OrderedDict[str, Ticks]] = {}
        self._tellings: OrderedDict[str, tuple[object, dict[str, Any]]] = OrderedDict()
        """The first telling of each game: the entry as it was sent, and what was read of it."""
        self._place = 0

    def feed(self, heard: Heard, place: int = 0) -> list[Derived]:
        """Return the envelopes that follow from an event, in an order that is always the same. Never fails.

        `place` is where the event stands in whatever it is read from: see `kept_from`.
        """
        self._place = place
        rules = _RULES.get(heard.event)
        if rules is None:
            return []
        told = read_raw(heard.raw)
        if told is None:
            self.tally.counts["unreadable"] += 1
            if heard.event == STATE:
                self.tally.saw_state(heard.source, None, {}, heard.id)
            return []
        derived: list[Derived] = []
        for doc_type, rule in rules:
            try:
                derived += rule(self, heard, told)
            except UndigestedError as why:
                self.tally.counts[f"{doc_type}.undigested.{why}"] += 1
            except Exception as error:  # no event may ever stop those behind it
                self.tally.counts[f"{doc_type}.undigested.{type(error).__name__}"] += 1
        return derived

    @property
    def kept_games(self) -> list[tuple[str, str]]:
        """The games, each with its source, that a new deriver has to read again from their start."""
        return [(source, game_id) for source, kept in self._games.items() for game_id in kept]

    @property
    def kept_spans(self) -> dict[str, tuple[int, int]]:
        """Where the events of these games stand, by source: the first and the last place that `feed` was told.

        A new deriver that is fed what a source says from the one to the other knows the same of its games.
        """
        return {
            source: (min(ticks.first_place for ticks in kept.values()), next(reversed(kept.values())).last_place)
            for source, kept in self._games.items()
        }

    def _game_ticks(self, heard: Heard, told: Told) -> Iterator[Derived]:
        payload = told.payload if isinstance(told.payload, dict) else {}
        game_id, _, _, fields = extract(heard.event, payload)
        self.tally.saw_state(heard.source, game_id, fields, heard.id)
        payload = _map(told)
        if game_id is None:
            raise UndigestedError("no game")
        ticks = self._kept(heard.source, game_id)
        self._check_state(heard, game_id, fields, payload, ticks)
        if "tick" not in fields and "price" not in fields:
            self.tally.counts["game_tick.none"] += 1  # a countdown says neither, and nothing is made up for it
            return
        if "price" not in fields or fields.get("tick", -1) < 0:
            raise UndigestedError("no tick or no price")
        for tick in ticks.take(fields, payload, heard.id):
            yield _natural(heard, "game_tick", "tick", game_id, tick)

    def _completed_games(self, heard: Heard, told: Told) -> Iterator[Derived]:
        history = _map(told).get("gameHistory", [])
        if not isinstance(history, list):
            raise UndigestedError("history is no list")
        for entry in history:
            if self._is_known(entry):
                self.tally.held("game_retold")
                continue
            game = games.read_game(entry)
            if game is None:
                self.tally.counts["game.undigested.no game"] += 1
            elif self._is_new(heard, entry, game):
                self._check_game(heard, game)
                self.tally.counts["game.told"] += 1
                yield _natural(heard, "game", "gameHistory", game.game_id, game.fields, game.ended)

    def _server_state(self, heard: Heard, told: Told) -> Iterator[Derived]:
        said = extract(heard.event, _map(told))
        if not said.fields:
            raise UndigestedError("says nothing")
        self.tally.counts["server_state.told"] += 1
        yield _placed(heard, "server_state", said)

    def _system_event(self, heard: Heard, told: Told) -> Iterator[Derived]:
        if heard.direction == "sent":
            return  # what we ask for; what became of it, the other side says
        self.tally.counts["system_event.told"] += 1
        yield _placed(heard, "system_event", extract(heard.event, told.payload))

    def _kept(self, source: str, game_id: str) -> Ticks:
        """Return what is known of a game, which is now the last to be forgotten."""
        kept = self._games.setdefault(source, OrderedDict())
        if game_id not in kept:
            kept[game_id] = Ticks(game_id, self.tally)
            kept[game_id].first_place = self._place
            if len(kept) > KEPT_GAMES:
                kept.popitem(last=False)
        kept.move_to_end(game_id)
        kept[game_id].last_place = self._place
        return kept[game_id]

    def _is_known(self, entry: object) -> bool:
        """Return whether an entry was sent before just so: ten games are told again and again, and need no reading."""
        game_id = entry.get("id") if isinstance(entry, dict) else None
        told = self._tellings.get(game_id) if isinstance(game_id, str) else None
        if told is None or told[0] != entry:
            return False
        self._tellings.move_to_end(str(game_id))
        return True

    def _is_new(self, heard: Heard, entry: object, game: games.Game) -> bool:
        """Return whether this is a game's first telling; a later one is compared with it."""
        _, first = self._tellings.setdefault(game.game_id, (entry, game.fields))
        self._tellings.move_to_end(game.game_id)
        if len(self._tellings) > KEPT_TELLINGS:
            self._tellings.popitem(last=False)
        if first is game.fields:
            return True
        differing = games.disagreements(first, game.fields)
        self._check("game_retold", not differing, heard, game.game_id, ", ".join(differing))
        return False

    def _check_state(
        self, heard: Heard, game_id: str, fields: Mapping[str, Any], payload: Mapping[str, Any], ticks: Ticks
    ) -> None:
        timer, allowed = fields.get("cooldown_timer"), fields.get("allow_pre_round_buys")
        if timer is not None and allowed is not None:
            holds = allowed == allows_pre_round_buys(timer)
            self._check("pre_round_buys", holds, heard, game_id, f"{allowed} at {timer} ms")
        fair = payload.get("provablyFair")
        if ticks.seed_hash is None and isinstance(fair, dict):
            ticks.seed_hash = fair.get("serverSeedHash")

    def _check_game(self, heard: Heard, game: games.Game) -> None:
        """Check what a completed game says against itself, and against what was seen of it."""
        for name in ("seed_matches", "peak_matches"):
            if name in game.fields:
                self._check(name, game.fields[name], heard, game.game_id)
        kept = self._games.get(heard.source)
        seen = kept.get(game.game_id) if kept else None
        if seen is None:
            return
        seed_hash, prices = game.fields.get("server_seed_hash"), game.fields.get("prices")
        if seen.seed_hash is not None and seed_hash is not None:
            self._check("seed_kept", seen.seed_hash == seed_hash, heard, game.game_id)
        if prices:
            history = dict(enumerate(prices))
            wrong = sorted(tick for tick, price in seen.prices.items() if history.get(tick) != price)
            self._check("history_prices", not wrong, heard, game.game_id, f"ticks {wrong[:10]}")

    def _check(self, name: str, holds: bool, heard: Heard, game_id: str, detail: str = "") -> None:
        if holds:
            self.tally.held(name)
        else:
            self.tally.failed(name, game_id, heard.id, detail)


Rule = Callable[[Deriver, Heard, Told], Iterator[Derived]]
_STATES: Final[tuple[tuple[str, Rule], ...]] = (("server_state", Deriver._server_state),)
_CONNECTION: Final[tuple[tuple[str, Rule], ...]] = (("system_event", Deriver._system_event),)
_RULES: Final[dict[str, tuple[tuple[str, Rule], ...]]] = {
    STATE: (("game_tick", Deriver._game_ticks), ("game", Deriver._completed_games)),
    "playerUpdate": _STATES,
    "gameStatePlayerUpdate": _STATES,
    "connect": _CONNECTION,
    "disconnect": _CONNECTION,
    "connect_error": _CONNECTION,
}
EVENTS: Final = frozenset(_RULES)
"""The events that anything is derived from: of all others a deriver need not be told."""


def _map(told: Told) -> dict[str, Any]:
    if not isinstance(told.payload, dict):
        raise UndigestedError("no payload")
    return told.payload


def _natural(
    heard: Heard, doc_type: str, event: str, game_id: str, fields: dict[str, Any], ts: int | None = None
) -> Derived:
    """Return an envelope that goes by its natural key."""
    event_id = ids.natural_id(doc_type, heard.source, game_id, fields)
    return _envelope(heard, event_id, doc_type, event, Extract(game_id, None, None, fields), ts)


def _placed(heard: Heard, doc_type: str, said: Extract) -> Derived:
    """Return an envelope that goes by its cause and its place there; of a kind, one event gives one."""
    return _envelope(heard, ids.derived_id(doc_type, heard.id, 0), doc_type, heard.event, said)


def _envelope(
    heard: Heard, event_id: str | None, doc_type: str, event: str, said: Extract, ts: int | None = None
) -> Derived:
    optional = {
        "recv_ts": heard.recv_ts,
        "game_id": said.game_id,
        "player_id": said.player_id,
        "username": said.username,
    }
    return {
        "v": WIRE_VERSION,
        "id": event_id,
        "ts": heard.ts if ts is None else ts,
        "doc_type": doc_type,
        "source": heard.source,
        "session_id": heard.session_id,
        "seq": heard.seq,
        "direction": heard.direction,
        "event": event,
        "fields": said.fields,
        "cause": heard.id,
        **{key: value for key, value in optional.items() if value is not None},
    }
