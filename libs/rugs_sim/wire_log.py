"""The simulator's own log: every message on every wire, exactly as it was, a JSON line each.

==================================================  ==================================================
a line                                              says
==================================================  ==================================================
``{"connection", "at", "opened": transport}``       a client has come: the connection's number, from 1
``{"connection", "number", "at", "frame", ...}``    a message was put on the wire; number counts from 1
``{"connection", "at", "heard": text}``             a message came from the client, over a WebSocket
``{"connection", "at", "closed": why}``             the connection has ended
==================================================  ==================================================

`at` is in microseconds since the Unix epoch. A binary message is `base64` instead of `frame`
(`heard_base64` instead of `heard`). `fault` says why a message was sent that was not meant to be, or
not there. A line is written before its message is sent, and outlives any process but the disk's:
whether the message arrived, only the client knows.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import orjson

from rugs_core.time import now_us
from rugs_sim.show import Message


class Logged(NamedTuple):
    """A message that was put on the wire. `at` is in microseconds since the Unix epoch."""

    connection: int
    number: int
    at: int
    message: Message
    fault: str = ""


class WireLog:
    """Writes the log; without a path it writes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            self._file = self._path.open("wb", buffering=0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def opened(self, connection: int, transport: str) -> None:
        """Note that a client has come."""
        self._write(connection, opened=transport)

    def sent(self, connection: int, number: int, message: Message, fault: str = "") -> None:
        """Note a message that is about to be sent."""
        said = {"fault": fault} if fault else {}
        if isinstance(message, str):
            self._write(connection, number=number, frame=message, **said)
        else:
            self._write(connection, number=number, base64=base64.b64encode(message).decode(), **said)

    def heard(self, connection: int, message: Message) -> None:
        """Note a message that has come."""
        if isinstance(message, str):
            self._write(connection, heard=message)
        else:
            self._write(connection, heard_base64=base64.b64encode(message).decode())

    def closed(self, connection: int, why: str) -> None:
        """Note that a connection has ended."""
        self._write(connection, closed=why)

    def _write(self, connection: int, **said: Any) -> None:
        if self._file is not None:
            line = {"connection": connection, "at": now_us(), **said}
            self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def read_log(path: Path) -> Iterator[Logged]:
    """Give the messages that a log says were sent. A torn last line is left out."""
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            said = json.loads(line)
            if "number" in said:
                message = said["frame"] if "frame" in said else base64.b64decode(said["base64"])
                yield Logged(said["connection"], said["number"], said["at"], message, said.get("fault", ""))
