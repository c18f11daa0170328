"""Report on discovery: drift on the bus, documents on the disk, figures for `rugs status`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import structlog

import rugs_bus
from rugs_core.errors import RugsError
from rugs_core.reasons import one_line
from rugs_discovery import current, outputs
from rugs_discovery.documents import place_of
from rugs_discovery.drift import Drift
from rugs_discovery.store import Store
from rugs_lake.store.positions import Position
from rugs_proto.subjects import ALERTS_DISCOVERY

if TYPE_CHECKING:
    from nats.aio.client import Client

log = structlog.get_logger(__name__)


class Reporting:
    """Reports after the store has moved on, when it has come to the end of the lake, and not too often.

    Args:
        status: is kept up.
        pause: seconds between two reports: making the documents takes a second or two of a core.
    """

    def __init__(self, nc: Client, root: Path, store: Store, status: dict[str, Any], pause: float) -> None:
        self._nc = nc
        self._root = root
        self._store = store
        self._status = status
        self._pause = pause
        self._moved = asyncio.Event()
        if store.position is not None:
            self.note(store.position)

    def note(self, position: Position) -> None:
        """Take note of where the store has come to."""
        self._status["position"] = list(position)
        self._moved.set()

    async def run(self) -> None:
        """Report for ever. What cannot be reported now is tried again with the next report."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            try:
                await self._report()
            except (RugsError, OSError) as error:
                log.error("cannot report on discovery", reason=one_line(error))
            await asyncio.sleep(self._pause)

    async def _report(self) -> None:
        if await asyncio.to_thread(current.is_behind, self._root, self._store):
            return  # the next piece is on its way
        summary, new = await asyncio.to_thread(outputs.refresh, self._root)
        self._status |= {"events": len(summary.events), "fields": summary.fields}
        for drift in new:
            await rugs_bus.announce(self._nc, ALERTS_DISCOVERY, orjson.dumps(_alert(drift)))
            log.warning("drift", what=drift.text, verdict=drift.verdict)


def _alert(drift: Drift) -> dict[str, Any]:
    named = {"kind": drift.kind, "event": drift.event, "path": drift.path, "detail": drift.detail}
    return {**named, "verdict": drift.verdict, "text": drift.text, "example": place_of(drift.example)}
