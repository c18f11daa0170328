"""nats-py's client, without its ways to stay dead while it says that it is connected."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from types import FunctionType
from typing import Any, Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.protocol import parser

from rugs_bus.errors import CLIENT_ERRORS
from rugs_bus.headers import parse_headers

_GOODBYE: Final = 2.0
"""Seconds that closing may take; a paused broker takes nothing."""
_TOKEN: Final = rb"[ \t]+([^ \t\r\n]+)"
_REPLY: Final = rb"[ \t]+(([^ \t\r\n]+)[ \t]+)?"

log = structlog.get_logger(__name__)


class _StrictParser(parser.Parser):
    """nats-py's parser, for which only space and tab separate the words of a message's first line, as for the server.

    `parse` finds its expressions among its module's names: here it is the same code, with two names of ours. Setting
    them in the module itself would change the other clients of the process, which belong to somebody else.
    """

    parse = FunctionType(
        parser.Parser.parse.__code__,
        vars(parser)
        | {
            "MSG_RE": re.compile(rb"\AMSG" + _TOKEN + _TOKEN + _REPLY + rb"(\d+)\r\n"),
            "HMSG_RE": re.compile(rb"\AHMSG" + _TOKEN + _TOKEN + _REPLY + rb"(\d+)[ \t]+(\d+)\r\n"),
        },
        "parse",
        parser.Parser.parse.__defaults__,
    )


class HardenedClient(Client):
    """A client that neither a stored message nor a broker that dies at a bad moment can silence.

    - Its own reader stops for good at a subject or a header that is not UTF-8, and cannot
      tell a vertical tab or a form feed in a subject from the space after it. The server
      takes all of these, so one such message would cut off everybody who reads the stream.
    - A broker that dies between its greeting and its first PONG counts as connected there: nobody reads,
      nobody writes, and what is published raises "Connection lost", for ever. The same happens
      where one of its tasks ends by an error that it does not expect.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ps = _StrictParser(self)

    async def flush(self, timeout: int = 10) -> None:  # noqa: ASYNC109 (as in the base class)
        """Return when the server has dealt with all that was sent before.

        Its own PING overtakes what still waits to be written: the second one does not.
        """
        await super().flush(timeout)
        await super().flush(timeout)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Take what the server says of itself; where ``tls://`` was asked for, never go on without TLS."""
        server = self._current_server
        if initial_connection and server and server.uri.scheme == "tls" and not info.get("tls_required"):
            raise nats.errors.Error("the server does not ask for TLS: write nats:// if it may be without")
        await super()._process_info(info, initial_connection)

    async def close(self) -> None:
        """Close the connection, however the broker is. Never raises, and never waits long."""
        if self._flush_queue is None:  # it was never opened
            return
        with suppress(*CLIENT_ERRORS):
            async with asyncio.timeout(_GOODBYE):
                if self.is_connected:  # the last that was published may still wait to be written
                    await self.flush()
        self._pending, self._pending_data_size = [], 0  # closing would try again, and raise
        self._abort()
        try:
            await super().close()
        except asyncio.CancelledError:  # of a wait that it shares with a task of its own, which it cancels
            if _is_cancelled():
                raise
        except CLIENT_ERRORS:
            pass

    async def _process_connect_init(self) -> None:
        await super()._process_connect_init()
        if not self.is_connected:
            for task in (self._reading_task, self._ping_interval_task, self._flusher_task):
                if task is not None:
                    task.cancel()
            raise nats.errors.Error("the broker ended the connection before it had answered")

    async def _attempt_reconnect(self) -> None:
        self._abort()  # with a paused broker, closing in order would wait until all is written
        while not self.is_closed:
            try:
                return await super()._attempt_reconnect()
            except (Exception, asyncio.CancelledError) as error:
                if self.is_closed or _is_cancelled():
                    return
                log.warning("reconnecting failed; trying again", error=repr(error))
            await asyncio.sleep(self.options["reconnect_time_wait"])

    async def _read_loop(self) -> None:
        await super()._read_loop()
        if self.is_connected and asyncio.current_task() is self._reading_task and not _is_cancelled():
            await self._process_op_err(nats.errors.UnexpectedEOF())

    async def _ping_interval(self) -> None:
        try:
            await super()._ping_interval()
        except OSError as error:
            await self._process_op_err(error)

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():  # nobody waits for it any more: an answer would end the reader
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    def _abort(self) -> None:
        """Drop the socket, with what has not left this machine: all of it is sent again, or matters to nobody."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        return parse_headers(bytes(headers)) if headers else None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        return Msg(
            _client=self,
            subject=subject.decode("utf-8", "replace"),
            reply=reply.decode("utf-8", "replace"),
            data=data,
            headers=headers,
            _sid=sid,
        )


def _is_cancelled() -> bool:
    """Whether the current task itself is being cancelled, and not just something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
