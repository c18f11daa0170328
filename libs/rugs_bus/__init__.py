"""The bus: connect, streams, publisher, reader, blobs."""

from rugs_bus.blobs import FRESH_SECONDS, delete_blob, forget_blobs, get_blob, put_blob
from rugs_bus.connect import connect
from rugs_bus.consumer import Durable, consume
from rugs_bus.core import announce, answer, listening, request
from rugs_bus.errors import (
    BusClosedError,
    BusError,
    BusUnavailableError,
    InvalidMessageError,
    RefusedError,
    StreamAbsentError,
)
from rugs_bus.publisher import PubAck, Publisher
from rugs_bus.topology import (
    StreamSettings,
    StreamState,
    ensure_streams,
    get_message,
    next_message,
    purge_below,
    set_incarnation,
    stream_state,
)
from rugs_proto.message import Message

__all__ = [
    "FRESH_SECONDS",
    "BusClosedError",
    "BusError",
    "BusUnavailableError",
    "Durable",
    "InvalidMessageError",
    "Message",
    "PubAck",
    "Publisher",
    "RefusedError",
    "StreamAbsentError",
    "StreamSettings",
    "StreamState",
    "announce",
    "answer",
    "connect",
    "consume",
    "delete_blob",
    "ensure_streams",
    "forget_blobs",
    "get_blob",
    "get_message",
    "listening",
    "next_message",
    "purge_below",
    "put_blob",
    "request",
    "set_incarnation",
    "stream_state",
]
