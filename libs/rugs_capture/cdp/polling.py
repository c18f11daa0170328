"""Socket.IO over HTTP long polling: seen, and not recorded.

Socket.IO's default transports begin with HTTP polling and change over to a WebSocket when both sides agree.
What goes through polling is in the bodies of HTTP responses, which are not recorded: that time is an outage. It
begins with the first response, and ends when the WebSocket takes over: the page sends the packet `5` then.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec
import structlog

from rugs_capture.cdp.patterns import UrlPatterns
from rugs_capture.cdp.protocol import Event
from rugs_capture.cdp.targets import Targets
from rugs_capture.cdp.urls import bare
from rugs_capture.tap import Tap
from rugs_client.clock import boot_us, moment

EVENT: Final = "Network.responseReceived"
UPGRADE: Final = "5"
"""The packet that a client sends when its WebSocket takes over."""
CAUSE: Final = "Socket.IO over HTTP polling is not recorded"
_MARK: Final = b"transport=polling"
_ON_ITS_WAY_US: Final = 1_000_000
_SILENCE_US: Final = 45_000_000
"""After so long without a response the page polls no more: a ping comes at least every 25 s, and has 20 s."""
_MOST_UPGRADED: Final = 100

log = structlog.get_logger(__name__)


class _Response(msgspec.Struct):
    url: str
    status: int


class _Received(msgspec.Struct):
    response: _Response
    kind: str = msgspec.field(default="", name="type")


class Polling:
    """Every page's connections over HTTP polling. `sockets` are the patterns of the WebSockets that are wanted."""

    def __init__(self, tap: Tap, targets: Targets, sockets: UrlPatterns) -> None:
        self._tap = tap
        self._targets = targets
        self._wanted = sockets
        self._attached = moment()
        self._seen: dict[tuple[str, str | None], int] = {}
        """When the last response of each came, by place and URL, on the clock that nobody sets."""
        self._upgraded: dict[str, None] = {}
        """The Engine.IO sessions that a WebSocket has taken over lately: a response may still come late."""

    def take(self, event: Event) -> None:
        """Take an `EVENT`: most are of no interest."""
        if _MARK not in event.params or not self._targets.followed(event.session):
            return
        received = msgspec.json.decode(event.params, type=_Received)
        url = received.response.url.replace("http", "ws", 1)
        query = parse_qs(urlsplit(url).query)
        sid = sid_of(url)
        if received.kind == "Preflight" or received.response.status != 200 or "EIO" not in query:
            return
        if query.get("transport") != ["polling"] or sid in self._upgraded or not self._wanted.fit(url):
            return
        place, address = self._targets.place(event.session), bare(url)
        if (place, address) not in self._seen:
            page = bare(self._targets.page(event.session))
            log.warning("a page receives its feed over HTTP polling, which is not recorded", page=page, url=address)
            # One that has a session already began before we were there.
            since = moment().earlier(_ON_ITS_WAY_US) if sid is None else self._attached
            self._tap.miss(since, CAUSE, place=place, url=address, page=page)
        self._seen[place, address] = boot_us()

    def taken_over(self, place: str, url: str | None) -> None:
        """Take note that a WebSocket has taken over; `url` is its whole URL."""
        self._seen.pop((place, bare(url)), None)
        if (sid := sid_of(url)) is not None:
            self._upgraded[sid] = None
            if len(self._upgraded) > _MOST_UPGRADED:
                del self._upgraded[next(iter(self._upgraded))]

    def left(self, place: str) -> None:
        """Forget a place that is gone."""
        for key in [key for key in self._seen if key[0] == place]:
            del self._seen[key]

    def warning(self) -> str | None:
        """Return what is not recorded now, as people are told."""
        since = boot_us() - _SILENCE_US
        count = sum(seen > since for seen in self._seen.values())
        if not count:
            return None
        connections = "1 connection uses" if count == 1 else f"{count} connections use"
        return f"{connections} HTTP polling, which is not recorded (see docs/chrome.md)"


def sid_of(url: str | None) -> str | None:
    """Return the Engine.IO session that a URL names: a WebSocket with one takes over from HTTP polling."""
    return next(iter(parse_qs(urlsplit(url).query).get("sid", [])), None) if url else None
