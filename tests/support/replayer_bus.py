"""An event bus like REPLAYER's, with all its traps, written from its description; and things that it carries."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any


class Events(Enum):
    """All of REPLAYER's, and one that nobody has heard of."""

    UI_READY = "ui.ready"
    UI_UPDATE = "ui.update"
    UI_ERROR = "ui.error"
    GAME_START = "game.start"
    GAME_END = "game.end"
    GAME_TICK = "game.tick"
    GAME_RUG = "game.rug"
    TRADE_BUY = "trade.buy"
    TRADE_SELL = "trade.sell"
    TRADE_SIDEBET = "trade.sidebet"
    TRADE_EXECUTED = "trade.executed"
    TRADE_FAILED = "trade.failed"
    BOT_ENABLED = "bot.enabled"
    BOT_DISABLED = "bot.disabled"
    BOT_DECISION = "bot.decision"
    BOT_ACTION = "bot.action"
    FILE_LOADED = "file.loaded"
    FILE_SAVED = "file.saved"
    FILE_ERROR = "file.error"
    REPLAY_START = "replay.start"
    REPLAY_PAUSE = "replay.pause"
    REPLAY_STOP = "replay.stop"
    REPLAY_STARTED = "replay.started"
    REPLAY_PAUSED = "replay.paused"
    REPLAY_STOPPED = "replay.stopped"
    REPLAY_RESET = "replay.reset"
    REPLAY_SPEED_CHANGED = "replay.speed_changed"
    PLAYER_IDENTITY = "player.identity"
    PLAYER_UPDATE = "player.update"
    WS_RAW_EVENT = "ws.raw_event"
    WS_AUTH_EVENT = "ws.auth_event"
    WS_SOURCE_CHANGED = "ws.source_changed"
    RUG_DETECTED = "game.rug_detected"
    SELL_PERCENTAGE_CHANGED = "trade.sell_percentage_changed"
    POSITION_REDUCED = "trade.position_reduced"
    SOMETHING_NEW = "something.new"


@dataclass(frozen=True, slots=True)
class GameTick:
    """One tick, as the program holds it."""

    game_id: str
    tick: int
    timestamp: str
    price: Decimal
    phase: str
    active: bool
    rugged: bool
    cooldown_timer: int
    trade_count: int


class ServerState:
    """The player's state, as the server says it; not a dataclass."""

    def __init__(self, **values: Any) -> None:
        self.__dict__ |= values
        self._private = threading.Lock()


class EventBus:
    """One daemon thread, a queue that drops the newest when full, and a `stop` that forgets what is queued."""

    def __init__(self, maxsize: int = 5000) -> None:
        self._queue: queue.Queue[tuple[Any, Any]] = queue.Queue(maxsize=maxsize)
        self._subscribers: dict[Any, dict[int, Callable[[Any], None]]] = {}
        self._stats = {"events_published": 0, "events_processed": 0, "events_dropped": 0, "errors": 0}
        self._running = False
        self._thread: threading.Thread | None = None

    def subscribe(self, event: Any, callback: Callable[[Any], None], weak: bool = True) -> None:
        """`weak` makes no difference: the callback is kept either way."""
        self._subscribers.setdefault(event, {})[id(callback)] = callback

    def unsubscribe(self, event: Any, callback: Callable[[Any], None]) -> None:
        """Matches by `id`: another object for the same bound method is not found."""
        self._subscribers.get(event, {}).pop(id(callback), None)

    def publish(self, event: Any, data: Any = None) -> None:
        """Queue an event; where the queue is full it is dropped."""
        try:
            self._queue.put_nowait((event, data))
            self._stats["events_published"] += 1
        except queue.Full:
            self._stats["events_dropped"] += 1

    def start(self) -> None:
        """Begin to call back."""
        self._running = True
        self._thread = threading.Thread(target=self._process, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is queued is discarded."""
        self._running = False
        if self._thread is not None:
            self._thread.join()

    def run_empty(self) -> None:
        """Wait until everything queued has been delivered."""
        self._queue.join()

    def get_stats(self) -> dict[str, int]:
        """Counts since the start."""
        return dict(self._stats)

    @property
    def subscriptions(self) -> int:
        """How many callbacks are subscribed."""
        return sum(map(len, self._subscribers.values()))

    def _process(self) -> None:
        while self._running:
            try:
                event, data = self._queue.get(timeout=0.02)
            except queue.Empty:
                continue
            for callback in list(self._subscribers.get(event, {}).values()):
                try:
                    callback({"name": event.value, "data": data})
                except Exception:
                    self._stats["errors"] += 1
            self._stats["events_processed"] += 1
            self._queue.task_done()
