"""A load of known events on a real broker and a real writer, and what became of them."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

from nats.aio.client import Client

import rugs_bus
from rugs_bus import PubAck, Publisher, StreamSettings
from rugs_lake.maintain.verify import verify
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.orphans import orphans
from rugs_lake.store.paths import LakePaths
from rugs_proto import event_subject
from rugs_runtime.broker import Broker
from tests.support.lakekit import DAY_US, NOON_US, body, envelope, id_of, tick
from tests.support.stackkit import LIMIT, Writer, caught_up, connected, cursor, rows, until

PACE: Final = 0.004
"""Seconds between two messages."""


def message(number: int) -> tuple[str, list[dict[str, Any]]]:
    """Return the load's message of a number: its doc type and envelopes, some known before, some broken."""
    if number % 10 == 9:
        return message(number - 4)
    pad = random.Random(number).randbytes(120).hex()
    if number % 3 == 0:
        return "game_tick", [tick(number * 4 + place, game=f"game-{number % 5}") for place in range(4)]
    day = number % 2 * 30 * DAY_US
    kind = {"doc_type": "ws_event" if number % 3 == 1 else "player_action", "session_id": f"session-{number % 4}"}
    events = [
        envelope(seq, ts=NOON_US + seq - day, raw=f'42["e",{{"n":{seq},"pad":"{pad}"}}]', **kind)
        for seq in range(number * 4 + 1, number * 4 + 5)
    ]
    return kind["doc_type"], [*events, envelope(number * 4, v=9, **kind)] if number % 25 == 2 else events


class Load:
    """Publishes known events until told to stop, and knows what the broker has acknowledged."""

    def __init__(self, nc: Client) -> None:
        self.nc = nc
        self.told: dict[str, bytes | None] = {}
        self.broken = 0
        self._number = 0
        self._acked: dict[int, PubAck] = {}
        self._ids: dict[int, tuple[str, ...]] = {}
        self._publisher = Publisher(nc, ack_timeout=2.0)
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Publish from now on."""
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._stopping:  # cancelled, it would leave a message half published
            await self.publish()
            await asyncio.sleep(PACE)

    async def publish(self) -> None:
        """Publish the next message."""
        number, self._number = self._number, self._number + 1
        doc_type, events = message(number)
        good = [event for event in events if event["v"] == 1]
        told = {id_of(event): raw.encode() if (raw := event.get("raw")) else None for event in good}
        self.told |= told
        self._ids[number] = tuple(told)
        self.broken += len(events) - len(good)
        subject = event_subject(doc_type, "public_ws", "x")
        taken = await self._publisher.publish(subject, body(*events), msg_id=f"load-{number}", key=f"{number % 8}")
        taken.add_done_callback(lambda done: self._note(number, done))

    def _note(self, number: int, done: asyncio.Future[PubAck]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._acked[number] = done.result()

    @property
    def acknowledged(self) -> int:
        """How many messages the broker has."""
        return len(self._acked)

    def ids_up_to(self, seq: int) -> set[str]:
        """Return the ids in those acknowledged messages that stand in the stream up to a sequence."""
        numbers = [number for number, ack in self._acked.copy().items() if ack.seq <= seq]
        return {event_id for number in numbers for event_id in self._ids[number]}

    async def more(self, messages: int = 20) -> None:
        """Return when the broker has acknowledged so many messages more."""
        goal = self.acknowledged + messages
        await until(lambda: self.acknowledged >= goal)

    async def finish(self) -> None:
        """Stop, and wait until the broker has all of it."""
        self._stopping = True
        if self._task is not None:
            await asyncio.wait_for(self._task, LIMIT)
        await self._publisher.flush(LIMIT)
        await self._publisher.close()

    def abandon(self) -> None:
        """End the load where the test has ended, whatever is on its way."""
        if self._task is not None:
            self._task.cancel()


class Rig:
    """A broker, a writer and a load on them, and the judge of the lake between faults."""

    def __init__(self, folder: Path, nc: Client, broker: Broker, **settings: str) -> None:
        self.root = folder / "lake"
        self.nc = nc
        self.broker = broker
        self.writer = Writer(self.root, broker, **settings)
        self.load = Load(nc)

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, **settings: str) -> AsyncIterator[Self]:
        """A rig whose load runs; its writer is started by the test."""
        broker = Broker(folder / "broker")
        broker.start()
        try:
            async with connected(broker.url) as nc:
                await rugs_bus.ensure_streams(nc, StreamSettings(max_bytes=1 << 28))
                rig = cls(folder, nc, broker, **settings)
                rig.load.start()
                try:
                    yield rig
                finally:
                    rig.load.abandon()
                    broker.signal(signal.SIGCONT)
                    rig.writer.kill()
        finally:
            broker.kill()

    async def progress(self, limit: float = LIMIT) -> None:
        """Return when the lake holds everything that was acknowledged just now, and the writer is at work."""
        await self.load.more(1)
        state = await rugs_bus.stream_state(self.nc)
        await until(lambda: (at := cursor(self.root)) is not None and at.last_seq >= state.last_seq, limit)

    async def judge(self) -> dict[str, int]:
        """Compare the lake with what was published, while the load goes on."""
        return await asyncio.to_thread(self._judge)

    def _judge(self) -> dict[str, int]:
        at = cursor(self.root)
        if at is None:
            return {"lost": 0, "doubled": 0, "torn": 0}
        due = self.load.ids_up_to(at.last_seq)
        outcome = compare(self.root, self.load.told, due)
        if self.writer.ended is not None:
            age_orphans(self.root)
        report = verify(self.root, fast=True)
        assert not [*report.sequences, *report.catalog], report.as_dict()
        outcome["torn"] += len(report.torn) + len(report.missing)
        outcome["doubled"] += report.duplicate_ids
        return outcome

    async def finish(self) -> dict[str, int]:
        """Let everything through, stop the writer, and judge it all: nothing may be missing or wrong now."""
        await self.load.finish()
        if self.writer.ended is not None:
            self.writer.start()
        await caught_up(self.nc, self.root)
        assert await asyncio.to_thread(self.writer.stop) == 0, self.writer.log[-2000:]
        outcome = compare(self.root, self.load.told, set(self.load.told))
        assert outcome == {"lost": 0, "doubled": 0, "torn": 0}, outcome
        assert rows(self.root, "SELECT count(*) FROM reject") == [(self.load.broken,)]
        assert rows(self.root, "SELECT * FROM gap") == []
        age_orphans(self.root)
        report = verify(self.root, repair=True)
        assert report.ok, report.as_dict()
        return outcome


def compare(root: Path, told: dict[str, bytes | None], due: set[str]) -> dict[str, int]:
    """Compare the lake's events with what was told; `due` are the ids that must be there."""
    found = rows(root, "SELECT id, coalesce(raw_bin, encode(raw)) FROM events")
    counted = Counter(event_id for event_id, _ in found)
    assert not set(counted) - set(told)
    return {
        "lost": len(due - set(counted)),
        "doubled": len(found) - len(counted),
        "torn": sum((None if raw is None else bytes(raw)) != told[event_id] for event_id, raw in found),
    }


def age_orphans(root: Path) -> None:
    """Make what a killed process left look old: `verify` need not wait for its commit."""
    with Catalog(LakePaths(root), read_only=True) as catalog:
        for name in orphans(catalog):
            os.utime(LakePaths(root).data / name, (0, 0))
