"""Deriving from what the lake holds: for lakes recorded before, or after a rule has changed.

Goes the same way as everything else: over the bus. The events have the ids that they always
had, so the writer stores what is new and recognises the rest. Each doc type is a run of its
own in the import ledger, and so the counts are the lake's own, whatever is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from nats.aio.client import Client

from rugs_bus import BusError, Publisher
from rugs_bus.import_run import ImportRun
from rugs_core.time import DAY_US, EPOCH_DAY
from rugs_derive.causes import Cause
from rugs_derive.outbox import Outbox
from rugs_derive.quality import Quality
from rugs_derive.replacing import DERIVED, EXTRACTS, correct_extracts, days
from rugs_derive.stored import StoredEvents
from rugs_feed.derive import RULES_VERSION, Deriver
from rugs_lake.maintain.corrections import Corrections
from rugs_lake.read import stats
from rugs_lake.read.commits import until_committed
from rugs_lake.store import ledger
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.paths import LakePaths
from rugs_proto.draft import Draft, joined
from rugs_proto.subjects import (
    TARGET_BODY,
)

DOC_TYPES: Final = ("game_tick", "game", "server_state", "system_event")
LEAD_IN: Final = dt.timedelta(days=1)
"""What came so long before the first day is read as well: a game that was going on at midnight is known whole."""
_PATIENCE: Final = 60.0
"""Seconds without any progress of the writer after which it counts as gone."""

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

Watch = Callable[[int, int], None]
"""Told how many events are dealt with, and of how many."""


@dataclass
class Kind:
    """What became of one doc type: `derived` = `stored` + `duplicates` once it is committed."""

    derived: int = 0
    stored: int = 0
    duplicates: int = 0


@dataclass
class Rederived:
    """What deriving from the lake gave.

    Attributes:
        events: stored events that were read.
        undigested: what no rule could digest, by doc type and reason.
        left_out: what no message could hold, by doc type.
        corrected: with `replace`, rows that were stored wrong, and are right now: `extracts` of frames, and `derived`.
        checks: how often each check held and failed.
    """

    events: int = 0
    kinds: dict[str, Kind] = field(default_factory=lambda: {name: Kind() for name in DOC_TYPES})
    undigested: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    corrected: dict[str, int] | None = None
    checks: dict[str, dict[str, int]] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    rules_version: int = RULES_VERSION
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        """How many checks failed."""
        return sum(outcome["failed"] for outcome in self.checks.values())

    def as_dict(self) -> dict[str, Any]:
        """Return it as `rugs derive --json` prints it."""
        return asdict(self)


async def rederive(
    nc: Client,
    root: Path,
    *,
    first: dt.date | None = None,
    last: dt.date | None = None,
    replace: bool = False,
    watch: Watch = lambda seen, total: None,
) -> Rederived:
    """Derive from the lake's stored events of some days (UTC, both included); return when the lake has it all.

    With `replace` the fields of stored frames are extracted again first, and what is stored of the derived events is
    corrected where it differs from what is derived now.

    Raises:
        LakeError: if there is no lake, or no writer commits what was derived.
        BusError: if the broker does not take what was derived.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    done = Rederived()
    corrections = Corrections() if replace else None
    with corrections or contextlib.nullcontext():
        if replace:
            extracts = await _in_catalog(root, lambda catalog: correct_extracts(catalog, first, last))
        publisher = Publisher(nc)
        try:
            runs = _Runs(publisher, corrections)
            await _derive(root, first, last, done, runs, watch)
            await runs.finish(done)
        finally:
            await publisher.close()
        await runs.wait(root, done)
        if corrections is not None:
            derived = await _in_catalog(root, lambda catalog: _replace(catalog, corrections, first, last))
            done.corrected = {EXTRACTS: extracts.rows, DERIVED: derived}
    done.seconds = round(clock() - began, 3)
    return done


async def _in_catalog(root: Path, work: Callable[[Catalog], _T]) -> _T:
    def run() -> _T:
        with Catalog(LakePaths(root)) as catalog:
            return work(catalog)

    return await asyncio.to_thread(run)


def _replace(catalog: Catalog, corrections: Corrections, first: dt.date | None, last: dt.date | None) -> int:
    """Correct the stored derived events; return how many were wrong."""
    scopes = [ChangeScope(doc_type=doc_type, dates=days(first, last)) for doc_type in DOC_TYPES]
    return sum(corrections.apply(catalog, DERIVED, scope).rows for scope in scopes)


async def _derive(
    root: Path, first: dt.date | None, last: dt.date | None, done: Rederived, runs: _Runs, watch: Watch
) -> None:
    quality = Quality()
    deriver, outbox = Deriver(quality), Outbox()
    start = None if first is None else first - LEAD_IN
    stored = await asyncio.to_thread(StoredEvents, root, dates=(start, last))
    try:
        lives = await asyncio.to_thread(stored.lives, start, last)
        total, seen = sum(life.events for life in lives), 0
        for life in lives:
            windows = stored.windows(life.incarnation, life.first_seq, life.last_seq, first=start, last=last)
            async with contextlib.aclosing(_read_ahead(windows)) as coming:
                async for causes in coming:
                    for is_counted, rows in _rows(deriver, quality, causes, first):
                        done.events += is_counted
                        for row in rows:
                            outbox.add(row)
                        if outbox.size >= TARGET_BODY:
                            await runs.send(outbox.take(), done)
                    await runs.send(outbox.take(), done)
                    seen += len(causes)
                    watch(seen, total)
    finally:
        await asyncio.to_thread(stored.close)
    done.undigested, done.checks, done.findings = quality.undigested, quality.checks, quality.shown
    done.left_out = dict(outbox.dropped)


async def _read_ahead(windows: Iterator[list[Cause]]) -> AsyncGenerator[list[Cause], None]:
    """Give the windows; while one is dealt with, the next is read."""
    coming = asyncio.create_task(asyncio.to_thread(next, windows, None))
    try:
        while (causes := await coming) is not None:
            coming = asyncio.create_task(asyncio.to_thread(next, windows, None))
            yield causes
    finally:
        await asyncio.wait((coming,))  # nobody closes the lake under a thread that reads it


def _rows(
    deriver: Deriver, quality: Quality, causes: list[Cause], first: dt.date | None
) -> Iterator[tuple[bool, list[dict[str, Any]]]]:
    """Give what follows from each cause; from those of the lead-in, nothing is counted and nothing given."""
    begin_us = 0 if first is None else (first - EPOCH_DAY).days * DAY_US
    for heard, place, _ in causes:
        if heard.ts >= begin_us:
            yield True, deriver.feed(heard, place)
        else:
            with quality.muted():
                deriver.feed(heard, place)
            yield False, []


class _Runs:
    """The runs that the messages belong to, one a doc type: the lake counts what it stores of each."""

    def __init__(self, publisher: Publisher, corrections: Corrections | None) -> None:
        self._corrections = corrections
        self._runs = {name: ImportRun(publisher, name, derived=True) for name in DOC_TYPES}

    async def send(self, messages: list[Draft[bytes]], done: Rederived) -> None:
        """Publish; the messages of a run keep their order.

        Raises:
            BusError: if the broker refused one for good.
        """
        for message in messages:
            self._check()
            done.kinds[message.doc_type].derived += len(message.ids)
            body = joined(message.parts)
            if self._corrections is not None:
                await asyncio.to_thread(self._corrections.add, body)
            await self._runs[message.doc_type].publish(message.subject, body)
        await asyncio.sleep(0)

    async def finish(self, done: Rederived) -> None:
        """Close the runs, once the broker has all of them.

        Raises:
            BusError: if it has refused a message.
        """
        for run in self._runs.values():
            with contextlib.suppress(BusError):  # which is said below
                await run.settle()
        self._check()
        for name, run in self._runs.items():
            await run.close(json.dumps(_report(run.id, name, done.kinds[name].derived)))

    async def wait(self, root: Path, done: Rederived) -> None:
        """Wait until the lake has them, and take its counts.

        Raises:
            BusError: if the bus has lost some.
            LakeError: if the lake does not come to have them.
        """
        waiting = list(DOC_TYPES)

        def look() -> int | None:
            while waiting and (run := ledger.run(root, self._runs[waiting[0]].id)) is not None and run.closed:
                if not run.done:
                    raise BusError("the bus has lost some of what was derived: derive again")
                kind = done.kinds[waiting.pop(0)]
                kind.stored, kind.duplicates = run.stored, run.duplicates
            return sum(cursor.last_seq for cursor in stats.cursors(root)) if waiting else None

        async def why() -> str:
            return "derived and published, but not committed: is a writer running? `rugs status` says"

        await until_committed(look, why, seconds=_PATIENCE)

    def _check(self) -> None:
        for run in self._runs.values():
            if run.refused is not None:
                raise BusError(f"the broker does not take what was derived: {run.refused}")


def _report(run_id: str, doc_type: str, derived: int) -> dict[str, Any]:
    """Return a run's entry in the ledger; its texts name no file, for there is none."""
    texts = {"file": f"derived {doc_type}", "sha256": sha256(run_id.encode()).hexdigest(), "format": "derived"}
    counts = {"size": 0, "lines": 0, "blank": 0, "records": derived, "rejected": 0, "salvaged": 0}
    return {**texts, "reader": f"rules-{RULES_VERSION}", "tz": "", **counts}
