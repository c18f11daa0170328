"""The streams of the bus: made once, kept as the settings say, looked into, purged."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from nats.aio.client import Client

from rugs_bus import api
from rugs_bus.api import ask
from rugs_bus.errors import BusError, RefusedError, StreamAbsentError
from rugs_bus.headers import parse_headers
from rugs_core.time import to_us
from rugs_proto.message import Message
from rugs_proto.subjects import ALL_EVENTS, BLOBS_BUCKET, EVENTS_STREAM, MAX_PAYLOAD

INCARNATION: Final = "rugs-incarnation"
"""Key in the stream's metadata: one life of the stream. Backup and restore keep it."""

BLOBS_STREAM: Final = f"OBJ_{BLOBS_BUCKET}"
"""The stream that the object store lies in."""

_STREAM_NAME_IN_USE: Final = 10058
_MESSAGE_NOT_FOUND: Final = 10037


@dataclass(frozen=True)
class StreamSettings:
    """How the streams are kept.

    `duplicate_window` is in seconds. `max_bytes` is a hard limit on `RUGS_EVENTS`, and
    `blob_max_bytes` on `RUGS_BLOBS`: what does not fit is refused, and nothing stored ever
    goes to make room.
    """

    replicas: int = 1
    compression: bool = True
    duplicate_window: float = 120.0
    max_bytes: int = 10 * 1024**3
    blob_max_bytes: int = 1024**3


class StreamState(NamedTuple):
    """What `RUGS_EVENTS` holds now: sequences `first_seq` to `last_seq`; an empty stream has first = last + 1.

    `max_bytes` is its hard limit.
    """

    incarnation: str | None
    first_seq: int
    last_seq: int
    messages: int
    bytes: int
    max_bytes: int


async def ensure_streams(nc: Client, settings: StreamSettings) -> None:
    """Make `RUGS_EVENTS` and the object store `RUGS_BLOBS`, or bring them to the settings.

    What the settings do not speak of stays as it is, the metadata among it.

    Raises:
        BusError: if the broker cannot hold them.
    """
    if nc.max_payload < MAX_PAYLOAD:
        raise BusError(
            f"the broker takes only {nc.max_payload} bytes a message: "
            f"set max_payload to {MAX_PAYLOAD} in its configuration"
        )
    common = {
        "storage": "file",
        "discard": "new",
        "num_replicas": settings.replicas,
        "compression": "s2" if settings.compression else "none",
        "max_age": 0,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
    }
    await _ensure_stream(
        nc,
        {
            "name": EVENTS_STREAM,
            "subjects": [ALL_EVENTS],
            "max_bytes": settings.max_bytes,
            "max_msg_size": MAX_PAYLOAD,
            "duplicate_window": round(settings.duplicate_window * 1e9),
            **common,
        },
    )
    await _ensure_stream(
        nc,
        {
            "name": BLOBS_STREAM,
            "subjects": [f"$O.{BLOBS_BUCKET}.C.>", f"$O.{BLOBS_BUCKET}.M.>"],
            "max_bytes": settings.blob_max_bytes,
            "allow_rollup_hdrs": True,
            "allow_direct": True,
            **common,
        },
    )


async def _ensure_stream(nc: Client, wanted: Mapping[str, Any]) -> None:
    name = wanted["name"]
    try:
        try:
            current = await _config(nc, name)
        except StreamAbsentError:
            try:
                await ask(nc, f"STREAM.CREATE.{name}", wanted)
                return
            except RefusedError as rival:  # somebody made it just now
                if rival.err_code != _STREAM_NAME_IN_USE:
                    raise
                current = await _config(nc, name)
        changed = {**current, **wanted}
        if changed != current:
            await ask(nc, f"STREAM.UPDATE.{name}", changed)
    except RefusedError as refusal:
        raise BusError(f"the stream {name} cannot be kept as the settings say: {refusal}") from refusal


async def _config(nc: Client, name: str) -> dict[str, Any]:
    config: dict[str, Any] = (await ask(nc, f"STREAM.INFO.{name}"))["config"]
    return config


async def stream_state(nc: Client) -> StreamState:
    """Return what the stream holds now.

    Raises:
        StreamAbsentError: if there is no stream.
        BusError: if the broker cannot be asked.
    """
    info = await ask(nc, f"STREAM.INFO.{EVENTS_STREAM}")
    state, config = info["state"], info["config"]
    incarnation = (config.get("metadata") or {}).get(INCARNATION)
    first = state["first_seq"] if state["messages"] else state["last_seq"] + 1
    return StreamState(incarnation, first, state["last_seq"], state["messages"], state["bytes"], config["max_bytes"])


async def set_incarnation(nc: Client, incarnation: str) -> None:
    """Write the stream's incarnation into its metadata; everything else of it stays.

    The broker knows no compare-and-swap here: only the stream's one writer may call this.
    """
    config = await _config(nc, EVENTS_STREAM)
    config["metadata"] = {**(config.get("metadata") or {}), INCARNATION: incarnation}
    await ask(nc, f"STREAM.UPDATE.{EVENTS_STREAM}", config)


async def get_message(nc: Client, seq: int) -> Message | None:
    """Return the message at a sequence, or None if the stream does not hold it (any more)."""
    return await stored_message(nc, EVENTS_STREAM, {"seq": seq}) if seq >= 1 else None


async def next_message(nc: Client, seq: int) -> Message | None:
    """Return the first message from a sequence on, or None if there is none."""
    return await stored_message(nc, EVENTS_STREAM, {"seq": max(seq, 1), "next_by_subj": ">"})


async def stored_subjects(nc: Client, pattern: str) -> list[str]:
    """Return the subjects of the stream's messages that match a pattern: 100,000 at the most."""
    info = await ask(nc, f"STREAM.INFO.{EVENTS_STREAM}", {"subjects_filter": pattern})
    return sorted(info["state"].get("subjects") or ())


async def stored_message(nc: Client, stream: str, which: Mapping[str, Any]) -> Message | None:
    """Return the message of any stream that a request of JetStream's API names, or None if there is none."""
    try:
        found = (await ask(nc, f"STREAM.MSG.GET.{stream}", which))["message"]
    except RefusedError as refusal:
        if refusal.err_code == _MESSAGE_NOT_FOUND:
            return None
        raise
    return Message(
        seq=found["seq"],
        time_us=to_us(datetime.fromisoformat(found["time"])),
        subject=found["subject"],
        headers=parse_headers(base64.b64decode(found.get("hdrs", ""))),
        body=base64.b64decode(found.get("data", "")),
    )


async def purge_below(nc: Client, seq: int) -> int:
    """Remove every message below `seq`, which itself stays; return how many.

    Raises:
        BusError: if the stream does not reach to `seq`: purging there would move its end.
    """
    if seq <= 1:  # to the broker, 0 means everything
        return 0
    if seq > (last_seq := (await stream_state(nc)).last_seq):
        raise BusError(f"cannot purge below {seq}: the stream ends at {last_seq}")
    purged: int = (await ask(nc, f"STREAM.PURGE.{EVENTS_STREAM}", {"seq": seq}, timeout=api.PURGED))["purged"]
    return purged
