"""The public feed: a Socket.IO connection whose messages are all kept as they were on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import ClientSession

from rugs_capture.feed_address import FeedAddress, FeedAddressError
from rugs_capture.feed_http import explain
from rugs_capture.socketio.connection import Connection, Ending, Recovery
from rugs_capture.socketio.payload import BadText, Message
from rugs_capture.socketio.transports import (
    TRANSPORTS,
    LostError,
    RefusedError,
    Transport,
    http_session,
)
from rugs_capture.socketio.watch import Watch
from rugs_capture.source import AWAY_PAUSE, LOST_PAUSE, REFUSED_PAUSE, SourceError
from rugs_capture.tap import Session, Tap
from rugs_feed.frames import Frame

CONNECT_SECONDS: Final = 20.0
"""How long connecting may take, from the first packet of TCP to the answer to the Socket.IO connect packet."""
_SILENT_ATTEMPTS: Final = 2
"""After so many attempts in a row that were not answered, the next transport is tried first."""
_BAD_TEXT: Final = "text that is not UTF-8"


class PublicFeed:
    """A Socket.IO feed. Each connection is a session; see `Source` for what `run` does.

    Args:
        name: how people call it.
        connect_timeout: seconds that the whole of connecting may take.
    """

    def __init__(self, address: FeedAddress, *, name: str = "public", connect_timeout: float = CONNECT_SECONDS) -> None:
        self.name = name
        self._address = address
        self._limit = connect_timeout
        self._recovery: Recovery | None = None
        self._unanswered = 0

    @property
    def url(self) -> str:
        """Where the feed is, without secrets."""
        return self._address.shown

    async def run(self, tap: Tap) -> None:
        """Connect and record until the connection ends; see `Source.run`."""
        address = self._address
        life = Connection(limit=self._limit, namespace=address.namespace, auth=address.auth, recovery=self._recovery)
        refusals = _Refusals()
        transport: Transport | None = None
        try:
            async with Watch(life.due) as watch, http_session(address) as http:
                transport = await self._open(http, refusals)
                await _Recording(transport, life, watch, tap, self.url).run()
        except TimeoutError:
            self._unanswered += life.state == "opening"
            if transport is None:
                raise refusals.error(self.url, f"no answer within {self._limit:.4g} s") from None
            raise SourceError(self._about(life, life.overdue())) from None
        except LostError as error:
            self._unanswered = 0
            pause = REFUSED_PAUSE if error.refused and life.state != "connected" else LOST_PAUSE
            reason = self._about(life, str(error))
            raise SourceError(reason, longest_pause=pause, retry_after=error.retry_after) from error
        finally:
            if life.state == "connected":
                self._unanswered = 0
                self._recovery = life.recovery
            if life.ending is not None and life.ending.refused:
                self._recovery = None

    async def _open(self, http: ClientSession, refusals: _Refusals) -> Transport:
        """Open the first transport that the server admits.

        Raises:
            SourceError: if it admits none, or there is no server.
        """
        for name in self._order():
            refusals.trying = name
            try:
                return await TRANSPORTS[name].connect(http, self._address)
            except RefusedError as error:
                refusals.add(error)
                if error.for_all:
                    break
            except (LostError, FeedAddressError) as error:
                refusals.said[name] = str(error)
            except aiohttp.ClientError as error:
                refusals.said[name] = explain(error, self._address)
                if isinstance(error, aiohttp.ClientConnectorError):
                    break
        self._unanswered = 0
        raise refusals.error(self.url)

    def _order(self) -> Sequence[str]:
        """Return the transports in the order to try; another one first where the first is never answered."""
        names = self._address.transports
        first = self._unanswered // _SILENT_ATTEMPTS % len(names)
        return (*names[first:], *names[:first])

    def _about(self, life: Connection, reason: str) -> str:
        return reason if life.state == "connected" else f"cannot connect to {self.url}: {reason}"


class _Refusals:
    """What the server has answered, so far, to each transport that was tried."""

    def __init__(self) -> None:
        self.trying = ""
        self.said: dict[str, str] = {}
        self._pause = LOST_PAUSE
        self._wait: float | None = None

    def add(self, error: RefusedError) -> None:
        """Note how the transport that is tried was refused."""
        self.said[self.trying] = str(error)
        self._pause = max(
            self._pause, AWAY_PAUSE if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else REFUSED_PAUSE
        )
        self._wait = error.retry_after

    def error(self, url: str, last: str = "") -> SourceError:
        """Return all of them as one error; `last` is what became of the transport that is tried."""
        if last:
            self.said[self.trying] = last
        reasons = {*self.said.values()}
        reason = reasons.pop() if len(reasons) == 1 else "; ".join(f"{name}: {why}" for name, why in self.said.items())
        return SourceError(f"cannot connect to {url}: {reason}", longest_pause=self._pause, retry_after=self._wait)


class _Recording:
    """One open transport: every message that goes through it is recorded before anything is done with it."""

    def __init__(self, transport: Transport, life: Connection, watch: Watch, tap: Tap, url: str) -> None:
        self._transport = transport
        self._life = life
        self._watch = watch
        self._url = url
        self._session: Session = tap.begin(connected=False, url=url, transport=transport.name)

    async def run(self) -> None:
        """Record until the connection ends.

        Raises:
            LostError: when it has ended.
        """
        bad_text = False
        try:
            while self._life.ending is None and not bad_text:
                messages = await self._transport.receive()
                self._watch.heard()
                bad_text = await self._take(messages)
            ending = self._life.ending or Ending(f"the server sent {_BAD_TEXT} (1007)")
            raise LostError(ending.reason, refused=ending.refused)
        finally:
            if not self._watch.expired:  # nobody is there to say goodbye to
                with suppress(TimeoutError):
                    await self._transport.close(bad_text=bad_text)

    async def _take(self, messages: Sequence[Message]) -> bool:
        """Record messages and answer them; return whether one of them was no text."""
        answers: list[str] = []
        for message in messages:
            if isinstance(message, BadText):
                frame = self._session.frame(message.data, frame=Frame("unknown", problem=_BAD_TEXT))
            else:
                frame = self._session.frame(message)
            answers += self._life.take(frame)
            if self._life.state == "connected" and not self._session.connected:
                self._session.connect(url=self._url, transport=self._transport.name, recovered=self._life.recovered)
        await self._send(answers)
        return any(isinstance(message, BadText) for message in messages)

    async def _send(self, messages: Sequence[str]) -> None:
        if messages:
            for message in messages:
                self._session.frame(self._life.stored(message), direction="sent")
            await self._transport.send(messages)
