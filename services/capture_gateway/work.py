"""The sources at work: each with a publisher and a spool of its own, and derivation in a process beside them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from capture_gateway.sources import Wanted, kind_of
from rugs_capture.supervise import Supervised
from rugs_capture.tap import Tap
from rugs_client import Publisher
from rugs_proto.rules import is_source
from rugs_runtime.keeper import Keeper
from rugs_runtime.programs import Program
from rugs_runtime.settings import CaptureSettings

DERIVE: Final = "derive"
_CANCEL_AGAIN: Final = 6.0
"""Seconds; longer than a source needs to say goodbye."""
_PATIENCE: Final = 1.0

log = structlog.get_logger(__name__)


class Work:
    """Every source, from `start` to `stop`."""

    def __init__(self, settings: CaptureSettings, wanted: Sequence[Wanted]) -> None:
        self._settings = settings
        self._sources = [Supervised(each.source, Tap(self._publisher(each.source.name), each.kind)) for each in wanted]
        self._tasks: list[asyncio.Task[None]] = []
        self._deliveries: list[asyncio.Task[None]] = []
        self._derive: Keeper | None = None
        self._lifeline: tuple[int, int] | None = None

    def _publisher(self, name: str) -> Publisher:
        return Publisher(
            self._settings.broker_url,
            source=kind_of(name),
            spool_dir=self._spools / name,
            name=f"capture-{name}",
            spool_bytes=int(self._settings.spool_max_bytes),
        )

    @property
    def _spools(self) -> Path:
        return self._settings.state_dir / "spool"

    def deliver_what_was_left(self) -> None:
        """Send what the spools still hold of sources that are not captured now."""
        now = {each.source.name for each in self._sources}
        left = [path.name for path in self._spools.glob("*/") if path.name not in now and is_source(path.name)]
        self._deliveries = [asyncio.create_task(self._deliver(name), name=f"spool {name}") for name in left]

    async def _deliver(self, name: str) -> None:
        async with self._publisher(name) as publisher:
            while not await asyncio.to_thread(publisher.flush, _PATIENCE):  # noqa: ASYNC110 (seen from outside)
                await asyncio.sleep(_PATIENCE)  # it returns at once where it cannot work
            if sent := publisher.stats.sent:
                log.info("sent what an earlier capture had left", source=name, events=sent)

    def start(self, *, derive: bool) -> None:
        """Begin to capture and, where it is wanted, to derive."""
        for source in self._sources:
            source.tap.resume()
        self._tasks = [asyncio.create_task(source.keep(), name=source.source.name) for source in self._sources]
        if derive:
            self._derive = Keeper(self._program())
            self._derive.begin()

    async def stop(self) -> None:
        """End the sources, send what they have brought, and leave in the spools what cannot be sent."""
        await _end([*self._tasks, *self._deliveries])
        for source in self._sources:
            source.tap.close()
        await asyncio.gather(*(asyncio.to_thread(source.tap.publisher.close) for source in self._sources))
        if self._derive is not None:  # last: it comes to the end of what was sent
            await self._derive.stop(self._settings.stop_timeout / 2)
        if self._lifeline is not None:
            for end in self._lifeline:
                os.close(end)

    def status(self) -> dict[str, Any]:
        """Return what the status answer says: every source, and derivation's process."""
        sources = [source.status() for source in self._sources]
        derive = self._derive.info if self._derive is not None else None
        troubles = [f"{each['name']}: {trouble}" for each in sources if (trouble := each["bus"]["trouble"])]
        if derive is not None and derive.state == "restarting":
            troubles.append(f"{DERIVE}: {derive.error}")
        return {
            "state": "running",
            "error": "; ".join(troubles) or None,
            "sources": sources,
            DERIVE: None if derive is None else {"state": derive.state, "pid": derive.pid, "error": derive.error},
        }

    def _program(self) -> Program:
        """Return derivation's process, which ends when this one does, however it goes."""
        logs = self._settings.state_dir / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self._lifeline = os.pipe()
        return Program(
            DERIVE,
            (sys.executable, "-m", "capture_gateway.derive"),
            environment={},
            log_file=logs / f"{DERIVE}.log",
            lifeline=self._lifeline[0],
        )


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks until all have ended: libraries have been seen to swallow a cancellation while they connect."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN)
