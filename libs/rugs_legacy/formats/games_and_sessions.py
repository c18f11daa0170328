"""What F5, F7 and F8 share: a game's prices, or a session's actions, as one JSON document.

Times are UTC without a zone, decimals are text.

A game says neither when its ticks were nor anything of their phase: `prices[i]` is the price at tick
i, null where the tick was missed. So its ticks are filled in, as those are that live only prices tell;
they take the time of its start, and say `untimed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from rugs_legacy.clock import Clock
from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats.objects import add_number, name_of, others, text_of
from rugs_legacy.record import MAX_ROWS, Document, Record, check_name

_UNKNOWN_PLAYER: Final = "unknown"
_UNKNOWN_USER: Final = "anonymous"
"""What was written where nobody was known."""


def is_game(content: Any) -> bool:
    """Return whether a JSON value is a game, of F5 or F8."""
    return _has(content, "prices", {"game_id", "start_time"})


def is_session(content: Any) -> bool:
    """Return whether a JSON value is a player's session, of F7 or F8."""
    return _has(content, "actions", {"player_id", "session_start"})


def _has(content: Any, rows: str, keys: set[str]) -> bool:
    if not isinstance(content, dict) or not isinstance(content.get(rows), list):
        return False
    meta = content.get("meta")
    return isinstance(meta, dict) and keys <= meta.keys()


def read_game(content: dict[str, Any], timezone: str = "UTC") -> Document:
    """Return a game and its ticks; its times are UTC wherever it was recorded.

    Raises:
        UnreadableError: if its id or its start cannot be read.
    """
    meta, prices = content["meta"], content["prices"]
    ts, zone = Clock("UTC", aware=False).read(text_of(meta, "start_time"))
    game_id = check_name(text_of(meta, "game_id"), "game_id")
    fields = others(meta, ("game_id", "peak_multiplier"))
    add_number(fields, "peak_multiplier", meta.get("peak_multiplier"))
    fields["prices"] = len(prices)
    fields["gaps"] = prices.count(None)
    fields["unread"] = sum(price is not None and not _price(price) for price in prices)
    record = Record(ts, None, zone, "system_event", "game_document", "received", game_id, None, None, fields)
    return Document(record, _ticks(prices, record))


def _ticks(prices: list[Any], game: Record) -> Iterator[Record]:
    for tick, told in enumerate(prices):
        if price := _price(told):
            fields = {"tick": tick, **price, "filled": True, "untimed": True}
            yield game._replace(doc_type="game_tick", event="tick", fields=fields)


def _price(told: object) -> dict[str, Any]:
    price: dict[str, Any] = {}
    add_number(price, "price", told)
    return price


def read_session(content: dict[str, Any], timezone: str = "UTC") -> Document:
    """Return a session and its actions; its times are UTC wherever it was recorded.

    Raises:
        UnreadableError: if its start, or whose it is, cannot be read.
    """
    meta = content["meta"]
    read_time = Clock("UTC", aware=False).read
    ts, zone = read_time(text_of(meta, "session_start"))
    player_id, username = name_of(meta, "player_id"), name_of(meta, "username")
    fields = others(meta, ("player_id", "username"))
    record = Record(
        *(ts, None, zone, "system_event", "session_document", "received", None),
        *(None if player_id == _UNKNOWN_PLAYER else player_id, None if username == _UNKNOWN_USER else username),
        fields,
    )
    actions = [action for told in content["actions"][:MAX_ROWS] if (action := _action(told, record, read_time))]
    fields["actions"] = len(content["actions"])
    fields["unread"] = len(content["actions"]) - len(actions)
    return Document(record, actions)


def _action(told: Any, session: Record, read_time: Callable[[str], tuple[int, str]]) -> Record | None:
    """Return what one action says; None where it cannot be read: the document's bytes have it."""
    if not isinstance(told, dict):
        return None
    try:
        ts, _ = read_time(text_of(told, "timestamp"))
        action = check_name(text_of(told, "action"), "action")
        fields = others(told, ("game_id", "timestamp", "amount", "price"))
        add_number(fields, "amount", told.get("amount"))
        add_number(fields, "price", told.get("price"))
        game_id = name_of(told, "game_id")
    except UnreadableError:
        return None
    return session._replace(ts=ts, doc_type="player_action", event=action, game_id=game_id, fields=fields)
