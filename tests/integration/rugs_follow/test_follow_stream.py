"""The follower of the stream with a real broker: every wanted message once, whatever was purged or made anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client

import rugs_bus
from rugs_bus import BusUnavailableError, Message, StreamSettings
from rugs_core.patience import Patience
from rugs_follow import stream as following
from rugs_follow.continuity import Checkpoint, Gap, Match
from rugs_follow.stream import StreamFollower, meet
from tests.support.lakekit import body, envelope
from tests.support.stackkit import publish, until

pytestmark = pytest.mark.slow

WANTED, OTHER = "rugs.events.ws_event.public_ws.x", "rugs.events.game_tick.public_ws.tick"
LIFE, ANEW = "a" * 32, "b" * 32


class Work:
    """Takes what comes; its lake has the stream up to `in_lake`."""

    def __init__(self, in_lake: int = 0) -> None:
        self.in_lake = in_lake
        self.checkpoint = Checkpoint()
        self.seen: list[str] = []

    async def resume(self) -> Checkpoint:
        return self.checkpoint

    async def take(self, messages: list[Message]) -> None:
        self.seen += [f"took {message.seq}" for message in messages]

    async def read_lake(self, gap: Gap) -> int:
        last = min(gap.last, self.in_lake)
        self.seen += [f"read {seq}" for seq in range(gap.first, last + 1)]
        return last

    async def lose(self, gap: Gap) -> None:
        self.seen.append(f"lost {gap.first} to {gap.last}")

    async def after_batch(self, *, is_idle: bool) -> None:
        pass


class Recognising(Work):
    """Goes on where it is in the same stream, at the start of another."""

    def __init__(self, nc: Client) -> None:
        super().__init__()
        self.nc = nc

    async def resume(self) -> Checkpoint:
        state, match = await meet(self.nc, self.checkpoint)
        self.seen.append(match.name)
        if match is not Match.SAME:
            self.checkpoint = Checkpoint(state.incarnation)
        return self.checkpoint

    async def take(self, messages: list[Message]) -> None:
        await super().take(messages)
        self.checkpoint = Checkpoint(self.checkpoint.incarnation, messages[-1].seq, messages[-1].time_us)


async def make_stream(nc: Client, incarnation: str | None, *subjects: str) -> None:
    await rugs_bus.ensure_streams(nc, StreamSettings(max_bytes=1 << 28))
    if incarnation is not None:
        await rugs_bus.set_incarnation(nc, incarnation)
    for seq, subject in enumerate(subjects, 1):
        await publish(nc, subject, body(envelope(seq)))


@asynccontextmanager
async def running(nc: Client, work: Work, subject: str | None) -> AsyncIterator[StreamFollower]:
    stop = asyncio.Event()
    follower = StreamFollower(nc, work, Patience(stop, (BusUnavailableError,), 0.05), stop, subject=subject, idle=0.02)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        stop.set()
        await task


async def followed(nc: Client, work: Work, subject: str | None, is_done: Callable[[StreamFollower], bool]) -> None:
    async with running(nc, work, subject) as follower:
        await until(lambda: is_done(follower))
        assert follower.trouble is None


@pytest.mark.parametrize(
    ("in_lake", "before"), [(5, ["read 2", "read 3", "read 4"]), (3, ["read 2", "read 3", "lost 4 to 4"])]
)
async def test_what_was_purged_comes_out_of_the_lake_or_is_lost(nc: Client, in_lake: int, before: list[str]) -> None:
    await make_stream(nc, LIFE, WANTED, WANTED, OTHER, WANTED, WANTED, OTHER, WANTED)
    await rugs_bus.purge_below(nc, 5)
    work = Work(in_lake)
    work.checkpoint = Checkpoint(LIFE, 1)
    await followed(nc, work, WANTED, lambda follower: follower.taken == 7)
    assert work.seen == [*before, "took 5", "took 7"]


async def test_without_a_subject_every_jump_is_looked_up(nc: Client) -> None:
    await make_stream(nc, None, WANTED, OTHER, WANTED, OTHER)
    await nc.jetstream().delete_msg("RUGS_EVENTS", 3)
    work = Work()
    await followed(nc, work, None, lambda follower: follower.taken == 4)
    assert work.seen == ["took 1", "took 2", "lost 3 to 3", "took 4"]


async def test_another_stream_in_its_place_is_met_anew(nc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "RESTART_SECONDS", 0.01)
    await make_stream(nc, LIFE, WANTED, WANTED)
    work = Recognising(nc)
    async with running(nc, work, WANTED) as follower:
        await until(lambda: follower.taken == 2)
        await nc.jetstream().delete_stream("RUGS_EVENTS")
        await make_stream(nc, None, WANTED)
        await rugs_bus.set_incarnation(nc, ANEW)
        await until(lambda: follower.taken == 1)
    assert [each for each in work.seen if each != "SAME"] == ["NOTHING_KNOWN", "took 1", "took 2", "OTHER", "took 1"]


async def test_a_stream_that_nobody_has_given_an_incarnation_is_not_followed_yet(nc: Client) -> None:
    with pytest.raises(BusUnavailableError, match="no such stream"):
        await meet(nc, Checkpoint())
    await make_stream(nc, None)
    with pytest.raises(BusUnavailableError, match="not met"):
        await meet(nc, Checkpoint())
