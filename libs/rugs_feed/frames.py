"""Engine.IO 4 and Socket.IO 4 framing: what a WebSocket message is, before what it means.

`decode` is total: whatever arrives gives a `Frame` with what is known of it, and `problem`
says what is not. `encode` writes a frame as a client or server would.

A text message is one digit for the Engine.IO packet; after a 4, one for the Socket.IO packet:

====  =======  =======================================================
0..6  Engine   open, close, ping, pong, message, upgrade, noop
40    Socket   connect
41             disconnect
42             event: ``42[name, argument, ...]``
43             ack: ``43<id>[argument, ...]``
44             connect_error
45             binary_event: ``45<n>-[...]``, n attachments follow
46             binary_ack
====  =======  =======================================================

Between the digits and the JSON may stand a namespace (``/admin,``) and an ack id. In a binary
packet's arguments ``{"_placeholder": true, "num": 0}`` stands for the attachment of that
number: attachments are binary messages of their own, and placeholders stay as they are.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

import msgspec

from rugs_proto.arguments import is_trace, payload_of

ENGINE_PACKETS: Final = ("open", "close", "ping", "pong", "message", "upgrade", "noop")
SOCKET_PACKETS: Final = ("connect", "disconnect", "event", "ack", "connect_error", "binary_event", "binary_ack")
EVENT_PACKETS: Final = ("event", "binary_event")
_BINARY_PACKETS: Final = ("binary_event", "binary_ack")
_WITH_ARGUMENTS: Final = ("event", "ack", "binary_event", "binary_ack")

_HEAD: Final = re.compile(r"(/[^,]*(?:,|\Z))?([0-9]{1,18})?")
_ATTACHMENTS: Final = re.compile(r"([0-9]{1,9})-")
_TORN_NAME: Final = re.compile(r'\[\s*("(?:[^"\\\x00-\x1f]|\\.){0,512}")')
_raw_decode: Final = json.JSONDecoder().raw_decode


class Frame(NamedTuple):
    """One WebSocket message.

    Attributes:
        packet: its kind: one of `ENGINE_PACKETS` or `SOCKET_PACKETS`, `attachment` for a binary
            message, `unknown` for what is no packet. A `message` is one whose Socket.IO part is unknown.
        args: an event's arguments without its name, an ack's arguments, or the one thing that
            another packet says (a handshake, a reason), if anything.
        event: an event's name; None for other packets, and where there is no name.
        problem: what was not understood, in a few words.
        junk: text behind the JSON.
    """

    packet: str
    args: tuple[Any, ...] = ()
    event: str | None = None
    namespace: str = "/"
    ack_id: int | None = None
    attachments: int = 0
    problem: str | None = None
    junk: str = ""

    @property
    def payload(self) -> Any:
        """The argument that says what the event is about: see `rugs_proto.arguments`."""
        return payload_of(self.args)

    @property
    def trace(self) -> dict[str, Any] | None:
        """The trace that goes before the payload of a traced event."""
        first = self.args[0] if self.args else None
        return first if is_trace(first) else None


def decode(message: str | bytes) -> Frame:
    """Return what a WebSocket message is. Never fails.

    Bytes are a binary message, an attachment: text has to come as `str`.
    """
    if isinstance(message, bytes):
        return Frame("attachment", (message,))
    if not message or message[0] not in "0123456":
        return Frame("unknown", (message,) if message else (), problem="no Engine.IO packet")
    packet, rest = ENGINE_PACKETS[int(message[0])], message[1:]
    if packet == "message":
        return _decode_socket(rest)
    if packet == "open":
        return _with_data(Frame(packet), rest)
    return Frame(packet, (rest,) if rest else ())


def _decode_socket(text: str) -> Frame:
    if not text or text[0] not in "0123456":
        return Frame("message", (text,) if text else (), problem="no Socket.IO packet")
    packet, start, attachments = SOCKET_PACKETS[int(text[0])], 1, 0
    if packet in _BINARY_PACKETS:
        counted = _ATTACHMENTS.match(text, start)
        if counted is None:
            return Frame("message", (text,), problem="no count of attachments")
        start, attachments = counted.end(), int(counted[1])
    head = _HEAD.match(text, start)
    assert head is not None  # noqa: S101 - the pattern takes the empty string as well
    namespace = (head[1] or "/").removesuffix(",")
    frame = Frame(
        packet,
        namespace=namespace,
        ack_id=None if head[2] is None else int(head[2]),
        attachments=attachments,
    )
    return _with_data(frame, text[head.end() :])


def _with_data(frame: Frame, text: str) -> Frame:
    """Return the frame with the JSON that stands behind its head."""
    if not text:
        missing = "no arguments" if frame.packet in _WITH_ARGUMENTS else None
        return frame._replace(problem=missing)
    try:
        data, junk = read_json(text)
    except ValueError as error:
        name = _torn_name(text) if frame.packet in EVENT_PACKETS else None
        return frame._replace(event=name, problem=str(error), junk=text)
    problem = "text behind the JSON" if junk else None
    if frame.packet not in _WITH_ARGUMENTS:
        return frame._replace(args=(data,), problem=problem, junk=junk)
    if not isinstance(data, list):
        return frame._replace(args=(data,), problem="arguments are no list", junk=junk)
    if frame.packet not in EVENT_PACKETS:
        return frame._replace(args=tuple(data), problem=problem, junk=junk)
    if not data or not isinstance(data[0], str):
        return frame._replace(args=tuple(data), problem="no event name", junk=junk)
    return frame._replace(event=data[0], args=tuple(data[1:]), problem=problem, junk=junk)


def read_json(text: str) -> tuple[Any, str]:
    """Return the JSON value that a text begins with, and the text behind it.

    Takes what Python's reader takes: also NaN, and half a surrogate pair in a string.

    Raises:
        ValueError: if it does not begin with a whole JSON value.
    """
    try:
        return msgspec.json.decode(text), ""
    except (ValueError, RecursionError):
        pass  # slow, and says how far it came
    try:
        data, end = _raw_decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from None
    except ValueError:
        raise ValueError("not JSON: a number too long") from None
    return data, text[end:]


def _torn_name(text: str) -> str | None:
    """Return the name of an event whose arguments are torn."""
    found = _TORN_NAME.match(text)
    try:
        name = json.loads(found[1]) if found else None
    except ValueError:
        return None
    return name if isinstance(name, str) else None


def encode(frame: Frame) -> str | bytes:
    """Return a frame as a message; `decode` gives the same frame again, if it had no problem.

    Raises:
        ValueError: if it is a packet that cannot be sent, or its arguments are not JSON.
    """
    if frame.packet == "attachment":
        return bytes(frame.payload)
    if frame.packet in SOCKET_PACKETS:
        number = f"4{SOCKET_PACKETS.index(frame.packet)}"
        if frame.packet in _BINARY_PACKETS:
            number += f"{frame.attachments}-"
        if frame.namespace != "/":
            number += f"{frame.namespace},"
        if frame.ack_id is not None:
            number += str(frame.ack_id)
        return number + _written(frame)
    if frame.packet in ENGINE_PACKETS and frame.packet != "message":
        number = str(ENGINE_PACKETS.index(frame.packet))
        return number + (_written(frame) if frame.packet == "open" else "".join(frame.args))
    raise ValueError(f"no packet that can be sent: {frame.packet}")


def _written(frame: Frame) -> str:
    if frame.packet in EVENT_PACKETS:
        return _compact([frame.event, *frame.args])
    if frame.packet in _WITH_ARGUMENTS:
        return _compact(frame.args)
    return _compact(frame.args[0]) if frame.args else ""


def _compact(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
