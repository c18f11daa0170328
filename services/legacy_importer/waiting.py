"""Waits until the lake holds what was sent, and compares its counts with ours.

What passes is waited for: a broker that is away, a writer that says what stops it, a lake that is busy.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog
from nats.aio.client import Client

from legacy_importer.report import FileReport, Report
from rugs_bus import BusUnavailableError, listening, stream_state
from rugs_lake import LakeUnavailableError
from rugs_lake.store import ledger
from rugs_proto.subjects import COMMITTED
from rugs_runtime import service

WRITER: Final = "parquet-writer"
_LOOK_AGAIN: Final = 0.5
"""Seconds after which the ledger is asked even if no commit was announced."""
_PATIENCE: Final = 60.0
"""Seconds without a commit of ours after which the writer is asked how it is."""

log = structlog.get_logger(__name__)


async def wait_for_commits(nc: Client, root: Path, report: Report) -> None:
    """Return when every file that was sent is in the ledger, or cannot get there any more.

    A writer that is stopped for a reason it tells, such as a full disk, is waited for; one that
    does not answer, or that is idle although a run is not whole, is an error of the files concerned.
    """
    announced = asyncio.Event()
    async with listening(nc, COMMITTED, lambda _: announced.set()):
        await _until_committed(nc, root, [one for one in report.files if one.state == "sent"], announced)


async def _until_committed(nc: Client, root: Path, waiting: list[FileReport], announced: asyncio.Event) -> None:
    clock = asyncio.get_running_loop().time
    before, since = None, clock()
    while waiting:
        announced.clear()
        try:
            seen = await asyncio.to_thread(_take_committed, root, waiting)
        except LakeUnavailableError as error:
            log.warning("waiting for the lake", reason=str(error))
            seen = before or (len(waiting), 0)
        if seen != before:
            before, since = seen, clock()
        elif clock() - since > _PATIENCE:
            if reason := await _why_nothing_comes(nc):
                for one in waiting:
                    one.fail(reason)
                return
            since = clock()
        if waiting:
            with suppress(TimeoutError):
                await asyncio.wait_for(announced.wait(), _LOOK_AGAIN)


def _take_committed(root: Path, waiting: list[FileReport]) -> tuple[int, int]:
    """Take off the files that are committed; return how far all has come, to see whether it moves."""
    for one in list(waiting):
        run = ledger.run(root, one.run_id)
        if run is None or not run.closed:
            return len(waiting), 0 if run is None else run.last_message
        waiting.remove(one)
        compare(one, run)
    return 0, 0


def compare(one: FileReport, run: ledger.Run) -> None:
    """Take the lake's counts of a file; they have to be ours."""
    one.stored, one.duplicates, one.state = run.stored, run.duplicates + one.known, "committed"
    if one.stored + one.duplicates != one.events:
        one.fail(f"the lake counts {one.stored} stored + {one.duplicates} duplicates, the file has {one.events} events")
    elif run.rejected + run.rejected_before < one.rejected:
        one.fail(f"the lake counts {run.rejected + run.rejected_before} rejects, the file has {one.rejected}")
    elif not run.done:
        one.fail("the bus has lost some of its messages: import it again")


async def _why_nothing_comes(nc: Client) -> str | None:
    """Ask the writer; None says that there is a reason which will pass."""
    try:
        last_seq = (await stream_state(nc)).last_seq
        answer: dict[str, Any] | None = await service.ask_status(nc, WRITER, 5.0)
        if answer is None:
            await stream_state(nc)  # it is the writer that does not answer, not the broker
    except BusUnavailableError as error:
        log.warning("waiting for the broker", reason=str(error))
        return None
    if answer is None:
        return f"sent, but not committed: no {WRITER} answers. Start one with `rugs up` and import again"
    if answer.get("error"):
        log.warning("waiting for the writer", reason=answer["error"])
        return None
    if int(answer.get("last_seq", 0)) < last_seq:
        return None  # it is busy with what came before
    return "sent, but never committed: the bus has lost some of its messages. Import it again"
