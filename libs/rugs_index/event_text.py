"""The text of an event, profile `rugbus`: what is there and nothing else, the most telling first. Pure.

A text begins with the event's name and what it is, tells its payload in sentences or labelled lines, and ends with the
game, the time and the place in the recording. The model reads about 256 word pieces: what is longer is cut before that
end, ids come last, and numbers have six significant digits. An event of which the recorder kept only the tracing header
says that its payload is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from rugs_core.time import from_us
from rugs_feed.extract import extract
from rugs_feed.phases import ACTIVE_GAMEPLAY, COOLDOWN, GAME_ACTIVATION, PRESALE, RUGGED
from rugs_index.contract import written
from rugs_index.event import GAME_KEYS, Event
from rugs_index.event_titles import FIRST, TITLES, UNITS
from rugs_index.identifiers import split

LOST: Final = "Payload lost: the recorder kept only the tracing header, so nobody knows what this event said."
NO_DATA: Final = "The event has no data."
_LONGEST_VALUE: Final = 300
"""Characters of one value."""
_LONGEST_BODY: Final = 1200
"""Characters of a text before the lines that say where it is from; about 256 word pieces."""
_MOST_LINES: Final = 60
_LEVELS: Final = 2
_FIRST_OF_LIST: Final = 3
_TIMES_MS: Final = range(1_400_000_000_000, 2_400_000_000_000)
"""Whole numbers that are likely to be times, in milliseconds since the Unix epoch: 2014 to 2046."""
_OF_IDS: Final = frozenset({"id", "address", "hash", "seed", "uri", "url", "signature", "traceparent"})
"""Last words of keys whose values say nothing to a reader."""
_KNOWN_KEYS: Final = 4096
"""Keys whose words are remembered."""

Payload = Mapping[str, Any]


def text_of(event: Event) -> str:
    """Return the text of an event."""
    body = "\n".join(islice(_body(event), _MOST_LINES))
    return "\n".join((_cut(body, _LONGEST_BODY), *_origin(event)))


def _body(event: Event) -> Iterator[str]:
    name = _inline(event.name)
    yield f"{name}: {TITLES.get(event.name) or ' '.join(split(event.name)) or 'event'}."
    if event.is_sent:
        yield "The client sent it."
    if event.is_lost:
        yield LOST
    elif event.payload is None or event.payload in ("", [], {}):
        yield NO_DATA
    elif isinstance(event.payload, Mapping):
        tell = _SENTENCES.get(event.name)
        yield from _labelled(event.payload, FIRST.get(event.name, ())) if tell is None else tell(event.payload)
    else:
        yield from _said("Data", event.payload)


def _origin(event: Event) -> Iterator[str]:
    if event.game_id:
        yield f"Game: {_value(event.game_id)}"
    if event.time:
        yield f"Time: {_value(event.time)}"
    if event.seq is not None:
        yield f"Sequence: {_cut(written(event.seq), _LONGEST_VALUE)}"


def _game_state(payload: Payload) -> Iterator[str]:
    said = extract("gameStateUpdate", payload).fields
    timer, tick = said.get("cooldown_timer"), said.get("tick")
    starts = "" if timer is None else f" It starts in {timer / 1000:g} s."
    price = f" Price: {_value(payload['price'])}x." if "price" in said else ""
    at = "" if tick is None else f" Tick: {tick}."
    yield {
        COOLDOWN: f"The next game is in its cooldown.{starts}",
        PRESALE: f"Presale: players may buy before the round.{starts}",
        GAME_ACTIVATION: f"The game begins.{at}{price}",
        ACTIVE_GAMEPLAY: f"The game is running.{at}{price}",
        RUGGED: f"The game has rugged (crashed).{at}{price}",
    }.get(said.get("phase", ""), f"The phase is not known.{at}{price}{starts}")
    yield from _named(payload, (("tradeCount", "Trades so far"), ("connectedPlayers", "Players connected")))
    yield from _leaders(payload.get("leaderboard"))
    yield from _named(payload, (("averageMultiplier", "Average peak of recent games"),))
    counts = [(payload.get(f"count{times}x"), times) for times in (2, 10, 50, 100)]
    if above := [f"{_value(count)} above {times}x" for count, times in counts if count is not None]:
        yield f"Recent games: {', '.join(above)}"
    pool = payload.get("rugpool")
    if isinstance(pool, Mapping):
        yield from _named(pool, (("rugpoolAmount", "Rug pool"), ("instarugCount", "Instarugs")))
    yield from _named(payload, (("highestToday", "Highest peak of the day"),))
    yield from _named(payload, tuple((f"godCandle{times}x", f"God candle {times}x") for times in (2, 10, 50)))
    yield from _completed(payload.get("gameHistory"))


def _completed(history: object) -> Iterator[str]:
    games = [game for game in history if isinstance(game, Mapping)] if isinstance(history, list) else []
    if games:
        yield f"It tells of {len(games)} completed games."
        yield from _named(games[0], (("peakMultiplier", "Peak of the last one"), ("id", "Id of the last one")))


def _leaders(board: object) -> Iterator[str]:
    if isinstance(board, list) and board:
        yield f"Leaderboard: {len(board)} players"
        if isinstance(first := board[0], Mapping) and first.get("username") is not None:
            yield f"Top player: {_value(first['username'])}{_with(first, 'pnl', ', profit {} SOL')}"


def _trade(payload: Payload) -> Iterator[str]:
    did = _TRADED.get(written(payload.get("type")), "traded")
    quantity, amount = _with(payload, "qty", " {} units"), _with(payload, "amount", " for {} SOL")
    yield f"{_who(payload)} {did}{quantity}{amount}{_with(payload, 'price', ' at {}x')}."
    yield from _labelled(payload, ("tickIndex", "coin", "leverage"), told=("type", "qty", "price", "amount", *_PLAYER))


def _chat_message(payload: Payload) -> Iterator[str]:
    yield f"{_who(payload)} wrote{_with(payload, 'message', ': {}')}"
    yield from _labelled(payload, ("tag", "role"), told=("message", "filtered", *_PLAYER))


def _side_bet(payload: Payload) -> Iterator[str]:
    yield f"{_who(payload)} bet{_with(payload, 'betAmount', ' {} SOL')} that the game rugs."
    yield from _labelled(
        payload, ("type", "startedAtTick", "startTick", "end", "endTick"), told=("betAmount", *_PLAYER)
    )


_PLAYER: Final = ("username", "level", "playerId")
_TRADED: Final = {
    "buy": "bought",
    "sell": "sold",
    "short_open": "opened a short position (a bet on a falling price) of",
    "short_close": "closed a short position (a bet on a falling price) of",
}
_SENTENCES: Final[dict[str, Callable[[Payload], Iterator[str]]]] = {
    "gameStateUpdate": _game_state,
    "standard/newTrade": _trade,
    "newChatMessage": _chat_message,
    "newSideBet": _side_bet,
    "currentSidebet": _side_bet,
}


def _who(payload: Payload) -> str:
    return f"{_with(payload, 'username', '{}') or 'A player'}{_with(payload, 'level', ' (level {})')}"


def _with(payload: Payload, key: str, form: str) -> str:
    """Return the value of a key in a form; empty where there is none."""
    return "" if payload.get(key) is None else form.format(_value(payload[key]))


def _named(payload: Payload, labels: Sequence[tuple[str, str]]) -> Iterator[str]:
    for key, label in labels:
        if payload.get(key) is not None:
            yield from _said(label, payload[key], _unit(key))


def _labelled(payload: Payload, first: Sequence[str], told: Sequence[str] = ()) -> Iterator[str]:
    """Give the lines of a payload but for the keys `told`: those of `first`, then the others, then ids."""
    keys = [*(key for key in first if key in payload), *(key for key in payload if key not in first)]
    keys = [key for key in keys if key not in told and key not in GAME_KEYS]
    for key in sorted(keys, key=_is_of_id):
        yield from _said(_label(key), payload[key], _unit(key))


def _said(label: str, value: Any, unit: str = "", levels: int = _LEVELS) -> Iterator[str]:
    """Give the lines of a value; none where it says nothing."""
    if value is None or value in ("", [], {}):
        return
    if isinstance(value, Mapping):
        for key in sorted(value, key=_is_of_id) if levels else ():
            yield from _said(f"{label}, {_label(key).lower()}", value[key], _unit(key), levels - 1)
    elif isinstance(value, list):
        yield f"{label}: {len(value)}{_shown(value)}"
    else:
        yield f"{label}: {_value(value)}{unit}"


def _shown(values: list[Any]) -> str:
    """Return the first of some values, behind a comma; those that have names by their names."""
    first = values[:_FIRST_OF_LIST]
    named = [value.get("username", value.get("name")) if isinstance(value, Mapping) else value for value in first]
    plain = [_value(value) for value in named if isinstance(value, str | int | float)]
    return f", first {', '.join(plain)}" if plain else ""


@lru_cache(_KNOWN_KEYS)
def _label(key: str) -> str:
    return (" ".join(split(key)) or _inline(key)).capitalize()


def _unit(key: str) -> str:
    return UNITS.get(key, "")


@lru_cache(_KNOWN_KEYS)
def _is_of_id(key: str) -> bool:
    return bool(words := split(key)) and words[-1] in _OF_IDS


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int) and value in _TIMES_MS:
        return from_us(value * 1000).isoformat()
    return _cut(_inline(written(value)), _LONGEST_VALUE)


def _inline(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
