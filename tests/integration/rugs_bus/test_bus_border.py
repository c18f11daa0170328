"""The border of the bus: whatever happens to the broker, and when, a call returns or raises an error of the bus."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from itertools import product
from typing import Any, Final

import pytest
from nats.aio.client import Client

import rugs_bus
from rugs_bus import BusClosedError, BusError, BusUnavailableError, InvalidMessageError, Publisher, RefusedError
from rugs_bus.errors import CLIENT_ERRORS
from rugs_runtime.broker import Broker
from tests.support.clientkit import STREAMS
from tests.support.lakekit import FULL
from tests.support.stackkit import LIMIT, connected, until
from tests.support.wire import Wire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SUBJECT: Final = "rugs.events.ws_event.public_ws.tick"
ANSWER: Final = 1.5
"""Seconds that the broker has for an answer in these tests."""
AT_ONCE: Final = 100
"""Cases that run at a time: most of their time they wait."""
Call = Callable[[Client], Awaitable[object]]


async def _publish(nc: Client) -> None:
    publisher, taken = Publisher(nc), None
    try:
        taken = await publisher.publish(SUBJECT, b"body", msg_id=f"m-{random.random()}")
        await asyncio.wait((taken,), timeout=ANSWER)
        await publisher.flush(0.1)
    finally:
        await publisher.close()
        if taken is not None:
            taken.exception()  # looked at: it is done, whatever became of it


async def _consume(nc: Client) -> None:
    async def resume() -> int:
        return 1

    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(ANSWER, stop.set)
    async with aclosing(rugs_bus.consume(nc, resume=resume, stop=stop)) as batches:
        async for messages in batches:
            if messages:
                return


async def _listen(nc: Client) -> None:
    async with rugs_bus.listening(nc, "rugs.alerts.x", lambda _: None):
        await nc_flush(nc)


async def nc_flush(nc: Client) -> None:
    with suppress(*CLIENT_ERRORS):
        await asyncio.wait_for(nc.flush(), ANSWER)


CALLS: Final[dict[str, Call]] = {
    "stream_state": rugs_bus.stream_state,
    "ensure_streams": lambda nc: rugs_bus.ensure_streams(nc, STREAMS),
    "set_incarnation": lambda nc: rugs_bus.set_incarnation(nc, "a" * 32),
    "get_message": lambda nc: rugs_bus.get_message(nc, 1),
    "next_message": lambda nc: rugs_bus.next_message(nc, 1),
    "purge_below": lambda nc: rugs_bus.purge_below(nc, 1),
    "put_blob": lambda nc: rugs_bus.put_blob(nc, f"blob-{random.random()}", bytes(700_000)),
    "get_blob": lambda nc: rugs_bus.get_blob(nc, "there"),
    "delete_blob": lambda nc: rugs_bus.delete_blob(nc, "not there"),
    "forget_blobs": lambda nc: rugs_bus.forget_blobs(nc, 1),
    "publish": _publish,
    "consume": _consume,
    "announce": lambda nc: rugs_bus.announce(nc, "rugs.alerts.x", b"told"),
    "request": lambda nc: rugs_bus.request(nc, "rugs.api.echo.status", timeout=ANSWER),
    "answer": lambda nc: rugs_bus.answer(nc, "rugs.api.other.status", lambda: b"here"),
    "listening": _listen,
    "close": lambda nc: nc.close(),
}


def test_every_public_call_is_among_them() -> None:
    """What takes a connection is in `CALLS`; `Publisher` and `connect` have cases of their own below."""
    functions = {name for name in rugs_bus.__all__ if name.islower()}
    assert functions - {"connect"} <= set(CALLS)


def faults(wire: Wire, nc: Client, closing: set[asyncio.Task[None]]) -> dict[str, Callable[[], None]]:
    def close() -> None:
        closing.add(asyncio.ensure_future(nc.close()))

    return {
        "killed": wire.cut_for_good,
        "restarted": wire.cut,
        "killed in its greeting": wire.greet_and_drop,
        "paused": wire.freeze,
        "closed": close,
    }


NAMES: Final = ("killed", "restarted", "killed in its greeting", "paused", "closed")
COMES_BACK: Final = ("restarted", "killed in its greeting")


async def pieces_of(broker: Broker, call: Call) -> int:
    """Return how many pieces pass while nothing happens."""
    async with Wire.to(broker.port) as wire:
        nc = await rugs_bus.connect(wire.url, name="undisturbed")
        before = wire.pieces
        await call(nc)
        await nc_flush(nc)
        await nc.close()
        return wire.pieces - before


async def outcome(broker: Broker, name: str, fault: str, at: int) -> str | None:
    """Return what was wrong with one call at one moment; None if nothing was."""
    closing: set[asyncio.Task[None]] = set()
    async with Wire.to(broker.port) as wire:
        nc = await rugs_bus.connect(wire.url, name=f"{name} {fault} {at}", reconnect_wait=0.05)
        try:
            wire.arm(at, faults(wire, nc, closing)[fault])
            async with asyncio.timeout(LIMIT):
                try:
                    await CALLS[name](nc)
                except BusClosedError:
                    if fault != "closed":
                        return "says that the connection is closed"
                except BusError:
                    pass
                if fault in COMES_BACK and name != "close":
                    await until(lambda: answers(nc))
        except Exception as error:
            return repr(error)
        finally:
            wire.cut_for_good()
            await nc.close()
            await asyncio.gather(*closing)
    return None


async def answers(nc: Client) -> bool:
    with suppress(BusError):
        await rugs_bus.stream_state(nc)
        return True
    return False


async def test_whatever_happens_and_when_a_call_returns_or_raises_an_error_of_the_bus(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rugs_bus.api.ANSWER", ANSWER)
    monkeypatch.setattr("rugs_bus.api.PURGED", ANSWER)
    monkeypatch.setattr("rugs_bus.blobs._TIMEOUT", ANSWER)
    monkeypatch.setattr("rugs_bus.blobs._ATTEMPT", ANSWER)
    unseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    chance, room = random.Random(1), asyncio.Semaphore(AT_ONCE)
    async with connected(broker.url) as nc:
        await rugs_bus.ensure_streams(nc, STREAMS)
        await rugs_bus.put_blob(nc, "there", bytes(700_000))
        await _publish(nc)
        await rugs_bus.answer(nc, "rugs.api.echo.status", lambda: b"here")

        async def tried(name: str, fault: str, at: int) -> tuple[str, str | None]:
            async with room:
                return f"{name}, {fault} at piece {at}", await outcome(broker, name, fault, at)

        cases = []
        pieces = {name: await pieces_of(broker, call) for name, call in CALLS.items()}
        for name, fault in product(CALLS, NAMES):
            moments = range(pieces[name] + 1)
            chosen = moments if FULL else sorted({0, *chance.sample(moments, min(2, len(moments)))})
            cases += [tried(name, fault, at) for at in chosen]
        found = {case: wrong for case, wrong in await asyncio.gather(*cases) if wrong is not None}
    assert found == {}
    assert unseen == []


@pytest.mark.parametrize("fault", ["killed", "paused", "killed in its greeting"])
async def test_connecting_returns_or_says_that_no_broker_answers(broker: Broker, fault: str) -> None:
    async with Wire.to(broker.port) as wire:
        for at in (0, 1, 2, 3):
            wire.arm(
                at, {"killed": wire.cut, "paused": wire.freeze, "killed in its greeting": wire.greet_and_drop}[fault]
            )
            try:
                nc = await rugs_bus.connect(wire.url, name="test", timeout=1.0, reconnect_wait=0.05)
            except BusUnavailableError as error:
                assert "no NATS server answers" in str(error)  # noqa: PT017 - either outcome is right
            else:
                await nc.close()
            wire.thaw()
    with pytest.raises(BusUnavailableError, match="no NATS server answers"):
        await rugs_bus.connect(wire.url, name="test", timeout=1.0)


async def test_a_message_that_no_broker_takes_is_told_from_one_that_was_refused_and_from_a_closed_connection(
    stream: Client,
) -> None:
    publisher = Publisher(stream)
    for subject, body, headers in (
        (SUBJECT, bytes(1 << 24), {}),
        ("other", b"", {}),
        (SUBJECT, b"", {"A": "\udc80"}),
        (SUBJECT, b"", {"A": "b" * 60_000}),
    ):
        with pytest.raises(InvalidMessageError):
            await publisher.publish(subject, body, msg_id="x", headers=headers)
    js = stream.jetstream()
    await js.update_stream((await js.stream_info("RUGS_EVENTS")).config.evolve(max_msg_size=1000))
    with pytest.raises(RefusedError, match="message size exceeds maximum"):
        await (await publisher.publish(SUBJECT, bytes(2000), msg_id="large"))
    pending = await publisher.publish(SUBJECT, b"", msg_id="y")
    await publisher.close()
    with suppress(BusClosedError):
        await pending
    with pytest.raises(BusClosedError):
        await publisher.publish(SUBJECT, b"", msg_id="z")
    with pytest.raises(InvalidMessageError):
        await rugs_bus.put_blob(stream, "large", bytes((33 << 20) + 1))


async def test_a_subscription_that_has_ended_answers_again(broker: Broker, stream: Client) -> None:
    """The client's own ends for good when its task does: also where the broker was away meanwhile."""
    asked = 0

    def reply() -> bytes:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise asyncio.CancelledError
        return b"here"

    async with connected(broker.url) as nc:
        await rugs_bus.answer(nc, "rugs.api.toy.status", reply)
        assert await rugs_bus.request(stream, "rugs.api.toy.status", timeout=LIMIT) == b"here"

        async def answered() -> bool:
            with suppress(BusUnavailableError):
                return await rugs_bus.request(stream, "rugs.api.toy.status", timeout=0.5) == b"here"
            return False

        with pytest.raises(BusUnavailableError):
            await rugs_bus.request(stream, "rugs.api.toy.status", timeout=0.5)
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)
        await until(answered)
