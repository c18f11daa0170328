"""What can be in the writer's way: it says so, goes on as soon as it is over, and loses nothing."""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from nats.aio.client import Client

import rugs_bus
from parquet_writer import process, pump
from rugs_bus import StreamSettings
from rugs_follow import stream
from rugs_lake.maintain.verify import verify
from rugs_lake.store.paths import LakePaths
from rugs_lake.write.writer import LakeWriter
from rugs_proto import event_id
from rugs_proto.subjects import EVENTS_STREAM
from rugs_runtime.broker import Broker
from rugs_runtime.service import ask_status
from rugs_runtime.settings import Settings
from tests.support.lakekit import body, envelope, id_of
from tests.support.stackkit import Writer, caught_up, connected, publish, rows, stands_still, until

pytestmark = pytest.mark.slow

SUBJECT = "rugs.events.ws_event.public_ws.x"


def parked(seq: int, data: bytes) -> dict[str, Any]:
    """An envelope whose bytes lie in the object store."""
    told = envelope(seq, session_id="parked", raw=...)
    return told | {"blob": hashlib.sha256(data).hexdigest(), "id": event_id("public_ws", "parked", seq, data)}


@pytest.fixture
def writer(tmp_path: Path, broker: Broker) -> Iterator[Writer]:
    writer = Writer(tmp_path / "lake", broker)
    yield writer
    writer.kill()


@pytest_asyncio.fixture
async def bus(broker: Broker) -> AsyncIterator[Client]:
    async with connected(broker.url) as nc:
        await rugs_bus.ensure_streams(nc, StreamSettings(max_bytes=1 << 28))
        yield nc


async def state(nc: Client) -> tuple[str, str]:
    answer = await ask_status(nc, process.NAME) or {"state": "", "error": None}
    return str(answer["state"]), str(answer["error"])


async def test_an_object_that_is_damaged_makes_a_reject_and_holds_nobody_up(writer: Writer, bus: Client) -> None:
    told = parked(1, b"bytes")
    await rugs_bus.put_blob(bus, told["id"], b"bytes")
    await bus.jetstream().purge_stream("OBJ_RUGS_BLOBS", subject="$O.RUGS_BLOBS.C.>")
    seq = await publish(bus, SUBJECT, body(told))
    await publish(bus, SUBJECT, body(envelope(2)))
    writer.start()
    async with asyncio.timeout(20):
        await caught_up(bus, writer.root)
    assert rows(writer.root, f"SELECT count(*) FROM reject WHERE stream_seq = {seq}") == [(1,)]
    assert rows(writer.root, "SELECT seq FROM events") == [(2,)]


async def test_envelopes_with_a_blob_must_be_alone_or_are_rejected(writer: Writer, bus: Client) -> None:
    """However many objects a message names, the writer holds one of them at a time."""
    some = [parked(seq, b"bytes %d" % seq) for seq in (1, 2)]
    for seq, told in enumerate(some, 1):
        await rugs_bus.put_blob(bus, told["id"], b"bytes %d" % seq)
    writer.start()
    await publish(bus, SUBJECT, body(*some))
    await publish(bus, SUBJECT, body(some[0], envelope(3)))
    await caught_up(bus, writer.root)
    assert rows(writer.root, "SELECT seq FROM events") == [(3,)]
    assert rows(writer.root, "SELECT count(*) FROM reject") == [(3,)]
    assert await rugs_bus.get_blob(bus, some[1]["id"]) == b"bytes 2"  # not in the lake: so it stays

    await publish(bus, SUBJECT, body(some[0]))
    await caught_up(bus, writer.root)
    assert rows(writer.root, "SELECT raw FROM events WHERE session_id = 'parked'") == [("bytes 1",)]
    assert verify(writer.root).ok


@pytest.mark.crash
async def test_a_broker_that_goes_away_while_a_blob_is_fetched_is_waited_for(
    writer: Writer, broker: Broker, bus: Client
) -> None:
    told = parked(2, b"large")
    await rugs_bus.put_blob(bus, told["id"], b"large")
    await publish(bus, SUBJECT, body(envelope(1)))
    await publish(bus, SUBJECT, body(told))
    writer.start(RUGS_STOP_AT="files_ready", RUGS_FLUSH_SECONDS="60")  # what comes before a blob is committed first
    await until(lambda: writer.is_paused)
    broker.signal(signal.SIGSTOP)
    await until(lambda: stands_still(broker.pid or 0))
    writer.signal(signal.SIGCONT)
    await until(lambda: "cannot read the bus" in writer.log)
    assert writer.ended is None
    broker.signal(signal.SIGCONT)
    await until(lambda: "going on" in writer.log)
    assert writer.stop() == 0
    assert rows(writer.root, "SELECT seq FROM events ORDER BY 1") == [(1,), (2,)]
    assert writer.log.count("cannot read the bus") < 10


@pytest.mark.parametrize("how", ["damaged", "gone"])
async def test_a_damaged_file_blocks_the_writer_which_says_so_until_it_is_whole(
    writer: Writer, bus: Client, how: str
) -> None:
    known = envelope(1)
    writer.start()
    await publish(bus, SUBJECT, body(known))
    await caught_up(bus, writer.root)
    (file,) = (writer.root / "events_parquet").rglob("*.parquet")
    whole = file.read_bytes()
    if how == "damaged":
        file.write_bytes(whole[:-100] + bytes(100))
    else:
        file.unlink()
    seq = await publish(bus, SUBJECT, body(known, envelope(2)))  # is the first known? that file tells

    async def blocked() -> bool:
        now, error = await state(bus)
        return now == "blocked" and file.name in error

    await until(blocked)
    assert writer.ended is None
    file.write_bytes(whole)
    await caught_up(bus, writer.root)
    assert await state(bus) == ("running", "None")
    query = "SELECT stream_seq, id FROM events ORDER BY seq"
    assert rows(writer.root, query) == [(seq - 1, id_of(known)), (seq, id_of(envelope(2)))]


async def test_work_beside_the_writing_that_fails_ends_the_writer() -> None:
    stop = asyncio.Event()

    async def fails() -> None:
        raise ValueError

    assert await process._beside(fails(), stop) is False
    assert stop.is_set()


async def test_a_jump_is_believed_only_where_the_stream_has_it_too(
    bus: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that leaves a message out, and a broker that for a moment says it has none, make no gap."""
    monkeypatch.setattr(stream, "RESTART_SECONDS", 0.01)
    for seq in range(1, 9):
        await publish(bus, SUBJECT, body(envelope(seq)))
    await bus.jetstream().delete_msg("RUGS_EVENTS", 6)
    left_out, forgotten, real, next_message = [3, 5], [3], rugs_bus.consume, rugs_bus.next_message

    async def consume(nc: Client, **options: Any) -> AsyncIterator[list[rugs_bus.Message]]:
        without = left_out.pop(0) if left_out else 0
        async with aclosing(real(nc, **options)) as batches:
            async for messages in batches:
                yield [message for message in messages if message.seq != without]

    async def forgetful(nc: Client, seq: int) -> rugs_bus.Message | None:
        if seq in forgotten:
            forgotten.remove(seq)
            return None
        return await next_message(nc, seq)

    monkeypatch.setattr(rugs_bus, "consume", consume)
    monkeypatch.setattr(rugs_bus, "next_message", forgetful)
    stop = asyncio.Event()
    writer = LakeWriter(LakePaths(tmp_path), EVENTS_STREAM)
    pumping = pump.Pump(bus, writer, Settings(data_dir=tmp_path, flush_seconds=0.01), stop)
    running = asyncio.create_task(pumping.run())
    await until(lambda: pumping.cursor.last_seq == 8 or running.done())
    stop.set()
    await running
    writer.close()
    assert (left_out, forgotten) == ([], [])
    assert rows(tmp_path, "SELECT stream_seq FROM events ORDER BY 1") == [(1,), (2,), (3,), (4,), (5,), (7,), (8,)]
    assert rows(tmp_path, "SELECT first_seq, last_seq FROM gap") == [(6, 6)]
    assert verify(tmp_path).ok
