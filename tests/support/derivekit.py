"""Derivation in tests: frames on the bus, the process that derives, and what must follow from the frames."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

import msgpack
from nats.aio.client import Client

import rugs_bus
from rugs_bus import Publisher, StreamSettings, stream_state
from rugs_bus.topology import stored_message
from rugs_derive.position import read_headers
from rugs_feed.derive import Derived, Deriver, Heard
from rugs_feed.normalise import normalise
from rugs_proto import ids
from rugs_proto.ids import message_id
from rugs_proto.subjects import EVENTS_STREAM, event_subject
from rugs_runtime.broker import Broker
from tests.support.feedkit import TS
from tests.support.madeup import played
from tests.support.stackkit import LIMIT, Service, Writer, caught_up, last_of, rows, until

DERIVED: Final = ("game_tick", "game", "server_state", "system_event")
Frame = dict[str, Any]
"""An envelope of a captured frame, as it travels."""


def frame(seq: int, event: str, argument: object, **changes: Any) -> Frame:
    """Return a captured frame."""
    place = {"source": "public_ws", "session_id": "s-1", "seq": seq, **changes}
    told = {"v": 1, "ts": TS + seq * 250_000, "doc_type": "ws_event", "direction": "received", "event": event}
    game = argument.get("gameId") if isinstance(argument, dict) else None
    raw = "42" + json.dumps([event, argument])
    return {**told, "game_id": game, "raw": raw, **place}


def frames(count: int, seed: int = 5, *, start: int = TS, **changes: Any) -> list[Frame]:
    """Return what a feed sends that plays by itself: some 200 frames a game."""
    sent = played(seed, start, count)
    return [
        frame(seq, each.event, each.arguments[-1], **{"ts": each.at, **changes}) for seq, each in enumerate(sent, 1)
    ]


def lost(whole: Sequence[Frame], share: float, seed: int = 1) -> list[Frame]:
    """Return the frames without a share of them: their ticks have to be filled in."""
    chance = random.Random(seed)
    return [each for each in whole if chance.random() >= share]


def in_play(told: Sequence[Frame], near: int) -> int:
    """Return the place of a frame in the middle of a game, not before `near`: its ticks are told again behind it."""
    said = [normalise(each["event"], json.loads(each["raw"][2:])[1]).fields for each in told]
    for place in range(near, len(told)):
        around = [fields for fields in said[place - 8 : place + 8] if "allow_pre_round_buys" in fields]
        if all(each.get("phase") == "ACTIVE_GAMEPLAY" and each["tick"] > 10 for each in around):
            return place
    raise AssertionError("no game is going on there")


def packed(told: Frame) -> bytes:
    """Return an envelope as a message's body."""
    return bytes(msgpack.packb(told))


def digest(raw: bytes) -> str:
    """Return what an envelope names bytes by that lie in the object store."""
    return sha256(raw).hexdigest()


def id_of(told: Frame) -> str:
    """Return a frame's id."""
    return ids.event_id(told["source"], told["session_id"], told["seq"], told["raw"])


def expected(told: Iterable[Frame]) -> list[Derived]:
    """Return what follows from frames, in one go and in memory."""
    deriver = Deriver()
    found: dict[str, Derived] = {}
    for each in told:
        keys = ("ts", "recv_ts", "source", "session_id", "seq", "direction", "event", "raw")
        for row in deriver.feed(Heard(id_of(each), *(each.get(key) for key in keys))):  # type: ignore[arg-type]
            found.setdefault(row["id"], row)
    return list(found.values())


async def publish(nc: Client, told: Sequence[Frame], batch: int = 1) -> int:
    """Publish frames in order; return the last sequence."""
    publisher = Publisher(nc, ack_timeout=2.0)
    last = 0
    try:
        taken = []
        for start in range(0, len(told), batch):
            group = told[start : start + batch]
            subject = event_subject("ws_event", group[0]["source"], group[0]["event"] if len(group) == 1 else "")
            body = msgpack.packb(group[0] if len(group) == 1 else list(group))
            msg_id = message_id([id_of(each) for each in group])
            taken.append(await publisher.publish(subject, body, msg_id=msg_id))
        for each in taken:
            last = max(last, (await each).seq)
    finally:
        await publisher.close()
    return last


class Derive(Service):
    """The process that derives."""

    name = "derive"
    module = "capture_gateway.derive"

    async def done(self, nc: Client, limit: float = LIMIT) -> dict[str, Any]:
        """Return, with its status, when it has derived from all that the stream holds now."""
        upto = await last_of(nc, "rugs.events.ws_event.>")
        answer: dict[str, Any] = {}

        async def is_done() -> bool:
            nonlocal answer
            answer = await self.status(nc)
            return bool(answer.get("position", -1) >= upto and answer["in_flight"] == 0)

        await until(is_done, limit)
        return answer


async def told_position(nc: Client) -> int:
    """Return the highest sequence that any derived message tells."""
    state = await stream_state(nc)
    found = 0
    for seq in range(state.first_seq, state.last_seq + 1):
        message = await stored_message(nc, EVENTS_STREAM, {"seq": seq})
        told = read_headers(message.headers) if message is not None else None
        found = max(found, told.seq if told is not None else 0)
    return found


def derived_in(root: Path) -> dict[str, tuple[Any, ...]]:
    """Return all derived rows of a lake, by id: what they say, without where in the stream they stood."""
    columns = (
        "doc_type, epoch_us(ts), epoch_us(recv_ts), source, session_id, seq, direction, event, game_id, player_id,"
        " username, price, tick, phase, active, rugged, cooldown_timer, trade_count, filled, cash, position_qty,"
        " avg_cost, total_invested, cumulative_pnl, reason, extra, cause"
    )
    found = rows(root, f"SELECT id, {columns} FROM events WHERE cause IS NOT NULL")
    assert len({row[0] for row in found}) == len(found)
    return {row[0]: row[1:] for row in found}


class Rig:
    """A broker, a writer and the process that derives."""

    def __init__(self, nc: Client, broker: Broker, root: Path) -> None:
        self.nc = nc
        self.broker = broker
        self.root = root
        self.writer = Writer(root, broker)
        self.derive = Derive(root, broker)

    @classmethod
    @asynccontextmanager
    async def running(cls, nc: Client, broker: Broker, root: Path) -> AsyncIterator[Self]:
        """Run them while the body runs."""
        await rugs_bus.ensure_streams(nc, StreamSettings(max_bytes=1 << 30))
        rig = cls(nc, broker, root)
        rig.writer.start()
        rig.derive.start()
        try:
            yield rig
        finally:
            rig.derive.kill()
            rig.writer.kill()

    async def settle(self) -> dict[str, Any]:
        """Return, with the status, when all that follows is in the lake."""
        status = await self.derive.done(self.nc)
        await caught_up(self.nc, self.root)
        return status

    async def purge(self) -> None:
        """Purge all that the lake has taken, but the last message."""
        state = await caught_up(self.nc, self.root)
        await rugs_bus.purge_below(self.nc, state.last_seq)

    def assert_derived(self, told: Sequence[Frame]) -> None:
        """The lake holds what follows from the frames, and nothing else that was derived."""
        found, wanted = derived_in(self.root), {row["id"]: row for row in expected(told)}
        extra = [found[each] for each in found.keys() - wanted.keys()]
        assert not extra, extra[:3]
        missing = [wanted[each] for each in wanted.keys() - found.keys()]
        assert not missing, missing[:3]
        for event_id, row in wanted.items():
            kept = dict(zip(("doc_type", "ts"), found[event_id][:2], strict=True))
            assert kept == {"doc_type": row["doc_type"], "ts": row["ts"]}
            assert (found[event_id][5], found[event_id][-1]) == (row["seq"], row["cause"])
