"""`/ingest/ws`: a message is a body; each is answered, in order, with what `POST /ingest` answers and `status`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from rugs_capture.ingest.access import Access
from rugs_capture.ingest.answers import answer, refusal
from rugs_capture.ingest.limits import Sender
from rugs_capture.ingest.receiving import Outcome, Receiver
from rugs_capture.ingest.terms import RequestError, Terms, read_terms

_HEARTBEAT: Final = 30.0
_LOOK: Final = 0.1
_GOODBYE: Final = 2.0


class Sockets:
    """Answers `/ingest/ws`: at most `max_sockets` at once, and `max_unanswered` messages of each.

    Where more comes than can be taken, or than its sender may bring, a socket is not read on: that
    is the back-pressure. Headers of the handshake hold for all its messages, but for
    Idempotency-Key, which would make two of them one.
    """

    def __init__(
        self,
        receiver: Receiver,
        access: Access,
        *,
        max_message: int,
        max_sockets: int,
        max_unanswered: int,
        safe_seconds: float,
    ) -> None:
        self._receiver = receiver
        self._access = access
        self._max_message = max_message
        self._max_sockets = max_sockets
        self._max_unanswered = max_unanswered
        self._safe_seconds = safe_seconds
        self._open: set[web.WebSocketResponse] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Shake hands, and take messages in until the other side, or this one, ends it."""
        try:
            sender = self._access.admit(request.remote, request.headers)
            terms = read_terms(request.headers)
            if terms.key is not None:
                raise RequestError(400, "Idempotency-Key is for one body: number the events of a socket")
            if len(self._open) >= self._max_sockets:
                raise RequestError(429, f"{self._max_sockets} sockets are open already", _HEARTBEAT)
        except RequestError as error:
            return answer(refusal(error))
        socket = web.WebSocketResponse(max_msg_size=self._max_message, compress=False, heartbeat=_HEARTBEAT)
        if not socket.can_prepare(request).ok:
            return answer(refusal(RequestError(400, "this is for WebSockets: POST /ingest takes bodies")))
        await socket.prepare(request)
        self._open.add(socket)
        try:
            await self._talk(socket, terms, sender)
        finally:
            self._open.discard(socket)
        return socket

    async def close_all(self) -> None:
        """Tell every socket that this side goes away."""
        for socket in [*self._open]:
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(_GOODBYE):
                    await socket.close(code=WSCloseCode.GOING_AWAY)

    async def _talk(self, socket: web.WebSocketResponse, terms: Terms, sender: Sender) -> None:
        unanswered: asyncio.Queue[Outcome | None] = asyncio.Queue(self._max_unanswered)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._answer(socket, unanswered))
            async for message in socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                body = message.data.encode() if message.type is WSMsgType.TEXT else message.data
                while self._receiver.is_full or sender.wait:  # noqa: ASYNC110 (both are seen from outside)
                    await asyncio.sleep(max(sender.wait, _LOOK))
                outcome = await self._receiver.take(body, terms)
                sender.spend(outcome.accepted + outcome.rejected, len(body))
                await unanswered.put(outcome)
            await unanswered.put(None)

    async def _answer(self, socket: web.WebSocketResponse, unanswered: asyncio.Queue[Outcome | None]) -> None:
        """Answer what has come, in order, up to None; what has come meanwhile is made safe together."""
        more = True
        while more:
            taken = [await unanswered.get()]
            while not unanswered.empty():
                taken.append(unanswered.get_nowait())
            outcomes = [outcome for outcome in taken if outcome is not None]
            more = len(outcomes) == len(taken)
            await self._receiver.secure(outcomes, self._safe_seconds)
            with suppress(ConnectionError):  # it has gone, and does not want to know
                for outcome in outcomes:
                    await socket.send_json({"status": outcome.status, **outcome.reply()})
