"""`POST /ingest`: one body, one answer, when all of it is safe."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from rugs_capture.ingest.access import Access
from rugs_capture.ingest.answers import answer, refusal
from rugs_capture.ingest.limits import Guest, Room
from rugs_capture.ingest.receiving import Outcome, Receiver
from rugs_capture.ingest.terms import RequestError, read_terms
from rugs_capture.ingest.unpacking import check_encoding, too_large, unpack

_FULL_AGAIN: Final = 5.0
_WORTH_A_THREAD: Final = 64 * 1024


class Posts:
    """Answers `POST /ingest`. `max_body` is in bytes; the other limits are seconds."""

    def __init__(
        self,
        receiver: Receiver,
        access: Access,
        room: Room,
        *,
        max_body: int,
        safe_seconds: float,
        read_seconds: float,
    ) -> None:
        self._receiver = receiver
        self._access = access
        self._room = room
        self._max_body = max_body
        self._safe_seconds = safe_seconds
        self._read_seconds = read_seconds

    async def post(self, request: web.Request) -> web.Response:
        """Take a body in, and answer when it is safe."""
        with self._room.guest() as place:
            try:
                outcome = await self._take(request, place)
            except RequestError as error:
                outcome = refusal(error)
        return answer(outcome)

    async def _take(self, request: web.Request, place: Guest) -> Outcome:
        sender = self._access.admit(request.remote, request.headers)
        terms = read_terms(request.headers)
        encoding = check_encoding(request.headers.get("Content-Encoding", ""))
        sender.check()
        if self._receiver.is_full:
            raise RequestError(429, "neither the broker nor the spool takes more now", _FULL_AGAIN)
        body = await self._body(request, place)
        if encoding:
            body = await asyncio.to_thread(unpack, body, encoding, self._max_body)
            place.add(len(body))
        outcome = await self._receiver.take(body, terms, frame_a_line=True)
        sender.spend(outcome.accepted + outcome.rejected, len(body))
        await self._receiver.secure([outcome], self._safe_seconds)
        return outcome

    async def _body(self, request: web.Request, place: Guest) -> bytes:
        """Return the body as it came.

        Raises:
            RequestError: if it is too large, takes too long, or breaks off.
        """
        if (request.content_length or 0) > self._max_body:
            raise too_large(self._max_body)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._read_seconds):
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    if size > self._max_body:
                        raise too_large(self._max_body)
                    place.add(len(chunk))
                    chunks.append(chunk)
        except TimeoutError as error:
            raise RequestError(408, f"the body took more than {self._read_seconds:g} s") from error
        except (web.RequestPayloadError, ConnectionError) as error:
            raise RequestError(400, "the body broke off") from error
        return b"".join(chunks)
