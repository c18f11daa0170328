"""The source: attach to everything in a browser that can open a WebSocket, before it does."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import structlog

from rugs_capture.cdp import sockets as sockets_
from rugs_capture.cdp.patterns import UrlPatterns
from rugs_capture.cdp.protocol import HEARTBEAT_SECONDS, Command, Connection, Event, connect
from rugs_capture.cdp.sockets import Sockets
from rugs_capture.cdp.targets import OF_BROWSER, OF_TARGET, WITH_DOCUMENT, TargetInfo, Targets
from rugs_capture.tap import Tap

_NO_BUFFERS: Final = {"maxTotalBufferSize": 0, "maxResourceBufferSize": 0}
"""Chrome need not keep the bodies of responses for us."""

log = structlog.get_logger(__name__)


class _Attached(msgspec.Struct):
    session: str = msgspec.field(name="sessionId")
    target: TargetInfo = msgspec.field(name="targetInfo")


class _Detached(msgspec.Struct):
    session: str = msgspec.field(name="sessionId")


class _Changed(msgspec.Struct):
    target: TargetInfo = msgspec.field(name="targetInfo")


class _DocumentFrame(msgspec.Struct):
    id: str
    url: str


class _Navigated(msgspec.Struct):
    frame: _DocumentFrame


class _Within(msgspec.Struct):
    url: str
    id: str = msgspec.field(name="frameId")


class CdpSource:
    """A Chrome that was started with remote debugging, and all its pages and workers. Each socket is a session.

    `pages` and `sockets` are patterns (see `UrlPatterns`). Followed is a socket whose URL fits `sockets`,
    if the URL of its page fits `pages`, or that of its frame, or its worker; a worker shared by
    pages goes by its own. The browser's other tabs are watched for where they go, no more: what is
    told of their sockets is dropped at once.
    """

    name = "cdp"

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 9222,
        *,
        pages: str = "*",
        sockets: str = "*",
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self.url = f"http://{host}:{port}"
        self._host = host
        self._port = port
        self._pages = UrlPatterns(pages)
        self._sockets = UrlPatterns(sockets)
        self._heartbeat = heartbeat

    async def run(self, tap: Tap) -> None:
        """Attach, and record until the browser goes away; see `Source.run`."""
        async with connect(self._host, self._port, heartbeat=self._heartbeat) as connection:
            log.info("attached", browser=connection.product, host=self._host, port=self._port)
            await _Following(connection, tap, self._pages, self._sockets).run()


class _Following:
    """One browser, from attaching to it to its end.

    Every new target waits until it is set up, which costs it a round trip to us. Should we die
    just then, Chrome lets a new tab go, but a window that a page has opened, or a worker that pages
    share, waits for the next capture: so whatever there is when we come is told to go on. Pages are attached to
    as such, and not through their tabs: then Chrome holds back their navigation as well, and does
    not render pages in advance, whose sockets would be open before they are ours to see.
    """

    def __init__(self, connection: Connection, tap: Tap, pages: UrlPatterns, wanted: UrlPatterns) -> None:
        self._connection = connection
        self._tap = tap
        self._targets = Targets(pages)
        self._sockets = Sockets(tap, self._targets, wanted, connection.product)

    async def run(self) -> None:
        """Attach to what there is and to what comes, until the connection is lost.

        Raises:
            SourceError: when it is.
        """
        kinds = [{"type": kind} for kind in (*OF_BROWSER, *OF_TARGET)]
        await self._connection.call("Target.setDiscoverTargets", {"discover": True, "filter": kinds})
        await self._connection.call("Target.setAutoAttach", _auto_attach(OF_BROWSER))
        self._tap.serving = True
        self._tap.warn = self._sockets.warning
        try:
            async for event in self._connection.events():
                if event.method in sockets_.EVENTS:
                    self._sockets.take(event)
                else:
                    await self._take(event)
        finally:
            self._tap.warn = lambda: None

    async def _take(self, event: Event) -> None:
        match event.method:
            case "Target.attachedToTarget":
                attached = msgspec.json.decode(event.params, type=_Attached)
                await self._attached(attached.session, attached.target, event.session)
            case "Target.detachedFromTarget":
                detached = msgspec.json.decode(event.params, type=_Detached)
                for target in self._targets.detached(detached.session):
                    self._sockets.left(target.session, f"the {target.kind} has ended")
                    if not target.parent:
                        self._sockets.gone(target.place)
            case "Target.targetInfoChanged":
                changed = msgspec.json.decode(event.params, type=_Changed)
                self._targets.moved(changed.target.id, changed.target.url)
            case "Page.frameNavigated":
                self._navigated(event.session, msgspec.json.decode(event.params, type=_Navigated).frame)
            case "Page.navigatedWithinDocument":
                within = msgspec.json.decode(event.params, type=_Within)
                self._targets.renamed(event.session, within.id, within.url)
            case "Inspector.targetCrashed":
                self._sockets.left(event.session, "the page has crashed")

    async def _attached(self, session: str, info: TargetInfo, parent: str) -> None:
        target = self._targets.attached(session, info, parent)
        if info.kind != "page" and not parent and not target.fits:
            # A worker that nobody has asked for: it could not sleep as long as somebody is attached to it,
            # and it would sleep for ever if we left before it has heard that it may go on.
            self._targets.detached(session)
            leave = Command("Target.detachFromTarget", {"sessionId": session})
            await self._connection.post("Runtime.runIfWaitingForDebugger", session=session, then=leave)
            return
        if info.kind in WITH_DOCUMENT:
            await self._connection.post("Page.enable", session=session)
        await self._connection.post("Target.setAutoAttach", _auto_attach(OF_TARGET), session=session)
        go_on = Command("Runtime.runIfWaitingForDebugger", session=session)
        await self._connection.post("Network.enable", _NO_BUFFERS, session=session, then=go_on)

    def _navigated(self, session: str, frame: _DocumentFrame) -> None:
        """End the sockets of a document that is left: nothing more is told of them.

        Those of a frame within the document that share its process are told of one by one.
        """
        target = self._targets.get(session)
        if target is not None and target.id == frame.id:
            place = self._targets.loaded(session, frame.id, frame.url)
            self._sockets.left(session, "the page was left")
            if place is not None:
                self._sockets.gone(place)


def _auto_attach(kinds: tuple[str, ...]) -> dict[str, Any]:
    return {
        "autoAttach": True,
        "waitForDebuggerOnStart": True,
        "flatten": True,
        "filter": [{"type": kind} for kind in kinds],
    }
