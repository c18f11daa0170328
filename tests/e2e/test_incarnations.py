"""A stream is not always the stream you knew: deleted, restored, purged, updated by hand. Each event is stored once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from nats.aio.client import Client

from rugs_bus import StreamAbsentError, StreamSettings, ensure_streams, stream_state
from rugs_lake.maintain.verify import verify
from rugs_proto.subjects import EVENTS_STREAM
from rugs_runtime.broker import Broker
from tests.support.lakekit import body, envelope, id_of
from tests.support.stackkit import Writer, caught_up, connected, cursor, publish, rows, until

pytestmark = pytest.mark.slow

SUBJECT = "rugs.events.ws_event.public_ws.x"
API = "$JS.API.STREAM"


class Backup(NamedTuple):
    """What `nats stream backup` writes to a folder."""

    config: dict[str, Any]
    state: dict[str, Any]
    chunks: list[bytes]


async def ask(nc: Client, verb: str, **arguments: Any) -> dict[str, Any]:
    reply = await nc.request(f"{API}.{verb}.{EVENTS_STREAM}", json.dumps(arguments).encode(), timeout=20)
    answer: dict[str, Any] = json.loads(reply.data)
    assert "error" not in answer, answer
    return answer


async def back_up(nc: Client) -> Backup:
    """Take a snapshot of the stream, as `nats stream backup` does."""
    inbox = nc.new_inbox()
    chunks = await nc.subscribe(inbox)
    told = await ask(nc, "SNAPSHOT", deliver_subject=inbox, chunk_size=128 * 1024)
    taken = []
    while (chunk := await chunks.next_msg(timeout=20)).data:
        taken.append(chunk.data)
        if chunk.reply:
            await chunk.respond(b"")
    await chunks.unsubscribe()
    return Backup(told["config"], told["state"], taken)


async def restore(nc: Client, backup: Backup) -> None:
    """Make the stream out of a snapshot, as `nats stream restore` does; it must not be there."""
    told = await ask(nc, "RESTORE", config=backup.config, state=backup.state)
    for chunk in backup.chunks:
        await nc.request(told["deliver_subject"], chunk, timeout=20)
    done = json.loads((await nc.request(told["deliver_subject"], b"", timeout=20)).data)
    assert done["state"]["messages"] == backup.state["messages"]


class Desk:
    """A broker, a writer that the test starts and stops, and the events that were published."""

    def __init__(self, broker: Broker, root: Path) -> None:
        self.root = root
        self.broker = broker
        self.writer = Writer(root, broker)
        self.told: list[dict[str, Any]] = []

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Client]:
        async with connected(self.broker.url) as nc:
            await ensure_streams(nc, StreamSettings(max_bytes=1 << 28))
            yield nc

    async def publish(self, nc: Client, first: int, last: int) -> None:
        for seq in range(first, last + 1):
            self.told.append(envelope(seq))
            await publish(nc, SUBJECT, body(self.told[-1]))

    def stop_writer(self) -> None:
        assert self.writer.stop() == 0, self.writer.log

    def gaps(self) -> list[tuple[Any, ...]]:
        return rows(self.root, "SELECT first_seq, last_seq, reason FROM gap ORDER BY noted, first_seq")

    def incarnations(self) -> int:
        return int(rows(self.root, "SELECT count(DISTINCT incarnation) FROM events")[0][0])

    def check(self) -> None:
        """Each event that was ever published is in the lake once, and the lake is whole."""
        stored = [row[0] for row in rows(self.root, "SELECT id FROM events")]
        assert len(stored) == len(set(stored))
        assert set(stored) == {id_of(told) for told in self.told}
        report = verify(self.root)
        assert report.ok, report.as_dict()


@pytest.fixture
def desk(broker: Broker, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(broker, tmp_path / "data")
    yield desk
    desk.writer.kill()


@pytest.mark.parametrize("running", [True, False], ids=["beneath the writer", "while it is away"])
async def test_a_stream_deleted_and_made_anew(desk: Desk, running: bool) -> None:
    async with desk.bus() as nc:
        await desk.publish(nc, 1, 20)
        desk.writer.start()
        known = (await caught_up(nc, desk.root)).incarnation
        if not running:
            desk.stop_writer()
        await ask(nc, "DELETE")
        await ensure_streams(nc, StreamSettings(max_bytes=1 << 28))
        await desk.publish(nc, 15, 60)  # some of them a second time
        if not running:
            desk.writer.start()
        state = await caught_up(nc, desk.root)
        assert state.last_seq == 46
        assert (await stream_state(nc)).incarnation not in (None, known)
    desk.told = desk.told[:20] + desk.told[26:]
    desk.check()
    ((first, last, reason),) = desk.gaps()
    assert (first, last) == (21, None)
    assert "restored, purged or made anew" in reason
    assert desk.incarnations() == 2


@pytest.mark.parametrize("running", [True, False], ids=["beneath the writer", "while it is away"])
@pytest.mark.parametrize("new", [0, 3, 10, 40], ids=["", "and fewer new ones", "and as many", "and more"])
async def test_a_stream_restored_from_an_older_backup(desk: Desk, running: bool, new: int) -> None:
    """New messages may reuse the numbers that the lake has taken, before the writer looks."""
    async with desk.bus() as nc:
        desk.writer.start()
        await desk.publish(nc, 1, 20)
        await caught_up(nc, desk.root)
        backup = await back_up(nc)
        await desk.publish(nc, 21, 30)
        known = (await caught_up(nc, desk.root)).incarnation
        if not running:
            desk.stop_writer()
        await ask(nc, "DELETE")
        await restore(nc, backup)
        state = await stream_state(nc)
        assert (state.last_seq, state.incarnation) == (20, known)
        await desk.publish(nc, 101, 100 + new)
        if not running:
            desk.writer.start()
        await until(lambda: (at := cursor(desk.root)) is not None and at.incarnation != known)
        await caught_up(nc, desk.root)
        assert (await stream_state(nc)).incarnation not in (None, known)
    desk.check()
    ((first, last, _),) = desk.gaps()
    assert (first, last) == (31, None)


async def test_a_stream_that_stays_gone_is_made_anew(desk: Desk) -> None:
    async with desk.bus() as nc:
        desk.writer.start()
        await desk.publish(nc, 1, 20)
        known = (await caught_up(nc, desk.root)).incarnation
        await ask(nc, "DELETE")

        async def is_another() -> bool:
            with suppress(StreamAbsentError):
                return (await stream_state(nc)).incarnation not in (None, known)
            return False

        await until(is_another)
        await desk.publish(nc, 15, 30)  # some of them a second time
        await caught_up(nc, desk.root)
    assert desk.writer.ended is None
    desk.told = desk.told[:20] + desk.told[26:]
    desk.check()


@pytest.mark.parametrize("is_awaited", [False, True], ids=["at once", "after it was missed"])
async def test_a_stream_restored_to_where_the_lake_is_goes_on(desk: Desk, is_awaited: bool) -> None:
    async with desk.bus() as nc:
        desk.writer.start()
        await desk.publish(nc, 1, 20)
        known = (await caught_up(nc, desk.root)).incarnation
        backup = await back_up(nc)
        await ask(nc, "DELETE")
        if is_awaited:
            await until(lambda: "no such stream" in desk.writer.log)
        await restore(nc, backup)
        await desk.publish(nc, 21, 30)
        state = await caught_up(nc, desk.root)
        assert (await stream_state(nc)).incarnation == known
        assert state.last_seq == 30
    desk.check()
    assert desk.gaps() == []


@pytest.mark.parametrize("running", [True, False], ids=["beneath the writer", "while it is away"])
async def test_metadata_erased_by_an_update_is_put_back(desk: Desk, running: bool) -> None:
    async with desk.bus() as nc:
        desk.writer.start()
        await desk.publish(nc, 1, 10)
        known = (await caught_up(nc, desk.root)).incarnation
        assert known is not None
        if not running:
            desk.stop_writer()
        config = (await ask(nc, "INFO"))["config"]
        await ask(nc, "UPDATE", **{**config, "metadata": {}})
        assert (await stream_state(nc)).incarnation is None
        if running:
            desk.stop_writer()
        desk.writer.start()

        async def put_back() -> bool:
            return (await stream_state(nc)).incarnation == known

        await until(put_back)
        await desk.publish(nc, 11, 20)
        await caught_up(nc, desk.root)
    desk.check()
    assert desk.gaps() == []
    assert desk.incarnations() == 1


@pytest.mark.parametrize("running", [True, False], ids=["beneath the writer", "while it is away"])
async def test_an_operator_purges_everything(desk: Desk, running: bool) -> None:
    async with desk.bus() as nc:
        desk.writer.start()
        await desk.publish(nc, 1, 20)
        await caught_up(nc, desk.root)
        if not running:
            desk.stop_writer()
        await ask(nc, "PURGE")
        await desk.publish(nc, 21, 40)
        if not running:
            desk.writer.start()
        await caught_up(nc, desk.root)
    desk.check()
    if running:
        assert desk.gaps() == []
    else:  # the proof that it is the same stream went with the cursor's message
        assert [gap[:2] for gap in desk.gaps()] == [(21, None), (1, 20)]
        assert desk.incarnations() == 2


async def test_messages_purged_before_they_were_read_are_a_gap(desk: Desk) -> None:
    """The cursor's message is still there, so the stream is known: the gap has its exact bounds."""
    async with desk.bus() as nc:
        desk.writer.start()
        await desk.publish(nc, 1, 10)
        await caught_up(nc, desk.root)
        desk.stop_writer()
        await desk.publish(nc, 11, 30)
        for seq in range(11, 21):
            await ask(nc, "MSG.DELETE", seq=seq)
        del desk.told[10:20]
        desk.writer.start()
        await caught_up(nc, desk.root)
    desk.check()
    ((first, last, reason),) = desk.gaps()
    assert (first, last) == (11, 20)
    assert "deleted from the stream" in reason
