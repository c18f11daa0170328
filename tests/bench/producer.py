"""The publisher of the bench, a process of its own: `python -m tests.bench.producer URL FOLDER KIND COUNT SIZE`.

It has its events in memory before the clock starts, as bytes that were received and
understood. Within the timed section it makes and encodes their envelopes, `SIZE` bytes of
them to a message (0: one event to a message), and publishes them. It says JSON lines:
ready; then, told to go, what it published, when the broker has all of it; then, when the
lake has all of it, what was committed when.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import orjson
from nats.aio.msg import Msg

import rugs_bus
from rugs_bus import Publisher, StreamSettings
from rugs_proto.ids import message_id
from rugs_proto.subjects import COMMITTED, event_subject
from rugs_proto.wire import encode
from tests.bench.recordings import DOC_TYPES, live_events

SESSIONS: Final = 4
"""Sources that record at the same time; the messages of one are on the wire one after the other."""
OVERHEAD: Final = 250
"""Bytes of an envelope beside `raw`, about."""
_LIMIT_SECONDS: Final = 600.0


def messages(events: list[dict[str, Any]], count: int, size: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give the session and the envelopes of one message after the other, `count` events in all.

    Events are taken again from the first when they are used up: later in their session, they are other events.
    """
    sessions = cycle([f"bench-{number}" for number in range(SESSIONS)])
    places = dict.fromkeys(islice(sessions, SESSIONS), 0)
    session, group, filled = next(sessions), [], 0
    for event in islice(cycle(events), count):
        places[session] += 1
        group.append({**event, "session_id": session, "seq": places[session]})
        filled += len(event["raw"]) + OVERHEAD
        if filled >= size:
            yield session, group
            session, group, filled = next(sessions), [], 0
    if group:
        yield session, group


async def _main(url: str, folder: Path, kind: str, count: int, size: int) -> None:
    events = live_events(folder, kind, count)
    nc = await rugs_bus.connect(url, name="bench")
    await rugs_bus.ensure_streams(nc, StreamSettings())
    commits: list[tuple[float, int, int]] = []  # when, the cursor, rows
    more = asyncio.Event()

    async def committed(message: Msg) -> None:
        told = orjson.loads(message.data)
        commits.append((time.monotonic(), told["last_seq"], told.get("stored", 0)))
        more.set()

    await nc.subscribe(COMMITTED, cb=committed)
    await nc.flush()
    _say({"ready": len(events)})
    await asyncio.to_thread(sys.stdin.readline)

    began, cpu = time.monotonic(), time.process_time()
    publisher = Publisher(nc)
    subject = event_subject(DOC_TYPES[kind], "public_ws", "")
    sent = raw_bytes = body_bytes = 0
    for session, group in messages(events, count, size):
        body = encode(group)
        sent += 1
        raw_bytes += sum(len(event["raw"]) for event in group)
        body_bytes += len(body)
        msg_id = message_id([session, str(group[0]["seq"])])
        await publisher.publish(subject, body, msg_id=msg_id, key=session)
    await publisher.flush()
    _say(
        {
            "seconds": time.monotonic() - began,
            "cpu": time.process_time() - cpu,
            "messages": sent,
            "raw_bytes": raw_bytes,
            "body_bytes": body_bytes,
        }
    )
    end = (await rugs_bus.stream_state(nc)).last_seq
    async with asyncio.timeout(_LIMIT_SECONDS):
        while not commits or commits[-1][1] < end:
            more.clear()
            await more.wait()
    _say({"commits": [(when - began, rows) for when, _, rows in commits]})
    await nc.close()


def _say(told: dict[str, Any]) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    url, folder, kind, count, size = sys.argv[1:]
    asyncio.run(_main(url, Path(folder), kind, int(count), int(size)))
