"""Whatever a program publishes, from any thread: nothing blocks or raises, and each event is stored or told of."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from rugs_client import Publisher
from rugs_runtime.broker import Broker
from tests.support.clientkit import assert_whole, flush, stored
from tests.support.hostile import EXPLOSIVE, Mute, nested
from tests.support.memory import traced

pytestmark = pytest.mark.slow


class Odd(str):
    """Text that cannot be read as such."""

    def __str__(self) -> str:
        raise RuntimeError


class Unlike:
    """Something that cannot be compared."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError


def released() -> memoryview:
    view = memoryview(b"x")
    view.release()
    return view


CIRCLE: dict[str, Any] = {"n": 1}
CIRCLE["again"] = CIRCLE

EVENTS: list[dict[str, Any]] = [
    *(
        {"fields": {"x": value}}
        for value in (float("nan"), float("inf"), 10**6000, Mute(), "\udfff", nested(), b"\xff")
    ),
    *({"fields": fields} for fields in (CIRCLE, {1: "a", "1": "b"}, {Mute(): 1}, {"\ud800": 1}, 5, [1], Mute())),
    *({"fields": {"x": value}, "copy": False} for value in (float("nan"), b"x", Mute(), 2**70, "\ud800")),
    *({"fields": fields, "copy": False} for fields in (CIRCLE, {1: 2}, {(1, 2): 3}, [1], "text")),
    *({key: value} for key in ("game_id", "player_id", "username", "session") for value in (Mute(), 5, "\ud800" * 600)),
    *({"doc_type": value} for value in (Mute(), 5, None, "x" * 1000, "\ud800", "NOT")),
    *({"direction": value} for value in (Mute(), None, "sideways")),
    *({"source": value} for value in (Mute(), Unlike(), "Else-Where", Odd("cdp"), 5)),
    *({"ts": value} for value in (Mute(), "now", 1.5, True, -(2**200), 2**200, 5)),
    *({"recv_ts": value} for value in (Mute(), "now", 1.5, True, 2**200, -5)),
    *({"raw": value} for value in (Mute(), Odd("text"), released(), bytearray(b"x"), 5, CIRCLE, "\ud800")),
    *({"event": value} for value in (Mute(), 5, None, Odd("e"), "x" * 10_000, "\ud800")),
]
"""Each is stored: as an event, or as a reject with its reason."""
REFUSED: list[dict[str, Any]] = [{"fields": {"x": EXPLOSIVE[kind]()}} for kind in ("a circle", "lists", "many numbers")]
"""None of these can be."""


async def test_no_event_of_any_shape_blocks_or_raises_or_takes_others_with_it(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    raised: list[BaseException] = []
    taken: list[bool] = []
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:

        def publish(event: dict[str, Any]) -> None:
            try:
                taken.append(publisher.publish(**{"event": "e", **event}))
                publisher.publish("good", fields={"n": 1})
            except BaseException as error:
                raised.append(error)

        def publish_all(events: list[dict[str, Any]]) -> None:
            for event in events:
                publish(event)

        threads = [threading.Thread(target=publish_all, args=[part]) for part in (EVENTS[::2], EVENTS[1::2], REFUSED)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - began < 30, "a second, where the machine is not busy"
        assert raised == []
        assert await flush(publisher)
        assert (taken.count(True), taken.count(False)) == (len(EVENTS), len(REFUSED))
        stats = publisher.stats
        assert (stats.dropped, stats.refused) == (len(REFUSED), 0)
        own = publisher.session_id
    events = await stored(stream)
    assert sum(event.event == "good" for event in events) == len(EVENTS) + len(REFUSED)
    gaps = assert_whole([event for event in events if event.session_id == own])
    assert sum(gap.fields["lost"] for gap in gaps) == len(REFUSED)
    assert all("too large" in gap.fields["cause"] for gap in gaps)
    assert len([event for event in events if event.event not in ("good", "gap")]) == len(EVENTS)
    assert all(event.fields["reason"] for event in events if event.doc_type == "reject")


def test_what_waits_for_a_broker_and_has_no_disk_is_bounded_with_all_that_it_holds(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    bound, many = 1_000_000, 6000
    with (
        traced() as memory,
        Publisher(
            "nats://127.0.0.1:1",
            source="cdp",
            spool_dir=tmp_path / "file" / "spool",
            queue_bytes=bound,
            close_timeout=0,
        ) as publisher,
    ):
        for number in range(many):
            publisher.publish("e", fields={"board": [{"id": f"{number}-{at}", "pnl": at / 7} for at in range(100)]})
        stats = publisher.stats
    assert stats.accepted + stats.dropped == many
    assert stats.dropped > many // 4
    assert memory.peak < 13_000_000, "the queue, and what the background has taken out of it"
