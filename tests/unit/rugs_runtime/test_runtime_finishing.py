"""Told to stop, a follower first comes to the end of the stream; what keeps it from that is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from rugs_bus import BusUnavailableError
from rugs_runtime.finishing import finish


@dataclass
class Reader:
    """A follower that takes one message each time somebody looks, up to `most`."""

    upto: int
    most: int
    trouble: str | None = None
    error: Exception | None = None
    read: int = 0

    @property
    def taken(self) -> int:
        self.read = min(self.most, self.read + 1)
        return self.read

    async def last(self) -> int:
        if self.error is not None:
            raise self.error
        return self.upto


async def finished(reader: Reader, seconds: float = 5.0) -> list[str]:
    """Return what is told on the way to the end."""
    stop, done = asyncio.Event(), asyncio.Event()
    with capture_logs() as told:
        finishing = asyncio.create_task(finish(reader, stop, done, seconds))
        await asyncio.sleep(0)
        assert not done.is_set()
        stop.set()
        await finishing
    assert done.is_set()
    return [each["reason"] for each in told]


async def test_it_goes_on_to_the_end_that_the_stream_has_when_told_to_stop() -> None:
    reader = Reader(upto=4, most=10)
    assert await finished(reader) == []
    assert reader.read == 4


@pytest.mark.parametrize(
    ("reader", "reason"),
    [
        (Reader(upto=4, most=3), "not done in 0.2 s"),
        (Reader(upto=4, most=10, trouble="the disk is full"), "the disk is full"),
        (Reader(upto=4, most=10, error=BusUnavailableError("the broker is gone")), "the broker is gone"),
    ],
)
async def test_what_keeps_it_from_the_end_is_told(reader: Reader, reason: str) -> None:
    assert await finished(reader, 0.2) == [reason]
