"""Waits until the lake holds what was sent, and compares its counts with ours.

What passes is waited for: a broker that is away, a writer that says what stops it, a lake that is busy.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from nats.aio.client import Client

from legacy_importer.report import FileReport, Report
from rugs_bus import BusUnavailableError, listening, stream_state
from rugs_lake.read.commits import NotCommittedError, until_committed
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
    waiting = [one for one in report.files if one.state == "sent"]
    look, why = partial(_take_committed, root, waiting), partial(_why_nothing_comes, nc)
    announced = asyncio.Event()
    async with listening(nc, COMMITTED, lambda _: announced.set()):
        try:
            await until_committed(look, why, seconds=_PATIENCE, announced=announced, every=_LOOK_AGAIN)
        except NotCommittedError as error:
            for one in waiting:
                one.fail(str(error))


def _take_committed(root: Path, waiting: list[FileReport]) -> tuple[int, int] | None:
    """Take off the files that are committed; return how far all has come, to see whether it moves; None at the end."""
    for one in list(waiting):
        run = ledger.run(root, one.run_id)
        if run is None or not run.closed:
            return len(waiting), 0 if run is None else run.last_message
        waiting.remove(one)
        compare(one, run)
    return None


def compare(one: FileReport, run: ledger.Run) -> None:
    """Take the lake's counts of a file; they have to be ours."""
    one.stored, one.duplicates, one.state = run.stored, run.duplicates + one.known, "committed"
    one.refused = run.refused
    if one.stored + one.duplicates + one.refused != one.events:
        counts = f"{one.stored} stored + {one.duplicates} duplicates + {one.refused} refused"
        one.fail(f"the lake counts {counts}, the file has {one.events} events")
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
