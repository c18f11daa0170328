"""The command `legacy-importer`: old recordings into the lake, by way of the bus."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
import uuid
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from nats.aio.client import Client

import rugs_bus
from legacy_importer.progress import watching
from legacy_importer.replacing import Replacing
from legacy_importer.report import Report
from legacy_importer.sending import Sender
from legacy_importer.waiting import wait_for_commits
from rugs_bus import BusError, BusUnavailableError, StreamAbsentError, stream_state
from rugs_core.errors import RugsError
from rugs_core.patience import Patience
from rugs_core.reasons import one_line
from rugs_lake import LakeUnavailableError
from rugs_lake.store import ledger
from rugs_legacy.clock import zone
from rugs_legacy.files import find_files, named_by
from rugs_legacy.formats import FORMATS
from rugs_legacy.repeated import repeated_games
from rugs_runtime import logs, service
from rugs_runtime.settings import CommonSettings, SettingsError
from rugs_runtime.stack import running_stack, stack_stops
from rugs_runtime.stopping import stop_on_signals

NAME: Final = "legacy-importer"
OK, FAILED = 0, 1
_LOOK_AGAIN: Final = 0.1
_RETRY_SECONDS: Final = 1.0
_CLOSING: Final = 5.0
_COUNTED: Final = ("files", "lines", "records", "duplicates")
_FAILURES_SHOWN: Final = 20
_FORMATS_OF_TICKS: Final = ("F1", "F2", "F3", "F5", "F8", "F16")
"""Those whose ticks are stored by the import; what captures tell is derived later, and seen by those that come then."""


def main() -> int:
    """Import what the command line names; exit code 0 for success, 1 for failure, 2 for wrong usage."""
    options = _options()
    try:
        settings = CommonSettings.load()
    except SettingsError as error:
        return _complain(str(error), FAILED)
    logs.configure(NAME, settings.log_level)
    report = Report()
    began = time.monotonic()
    try:
        asyncio.run(_import(options, settings, report))
    except (RugsError, OSError) as error:
        report.fail(one_line(error))
    report.seconds = time.monotonic() - began
    _keep(report, settings)
    _show(report, options.json)
    return FAILED if report.failures else OK


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Import old recordings, packed with gzip or zstd or not, known by what is in them. "
        "What is in the lake already is recognised, so the same import can be run again at any time.",
        epilog=f"Formats: {_formats()}. "
        "Exit codes: 0 success, 1 failure, 2 wrong usage. Settings: NATS_URL, RUGS_DATA_DIR.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="file, folder, or pattern")
    parser.add_argument(
        "--timezone",
        default="America/New_York",
        metavar="TZ",
        help="zone of times that were written without one (default: %(default)s)",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="read every file again, and correct what is stored of it: extracts, times, doc types; implies --wait",
    )
    parser.add_argument("--wait", action="store_true", help="return when the lake holds everything")
    parser.add_argument("--timeout", type=float, metavar="S", help="give up after so many seconds")
    parser.add_argument("--json", action="store_true", help="print the report as one line of JSON")
    options = parser.parse_args()
    try:
        options.paths = [named for path in options.paths for named in named_by(path)]
    except FileNotFoundError as error:
        parser.error(str(error))
    if options.timeout is not None and options.timeout <= 0:
        parser.error("--timeout takes a number of seconds above 0")
    try:
        zone(options.timezone)
    except ValueError as error:
        parser.error(str(error))
    return options


def _formats() -> str:
    """Return the formats that can be read, for people: `F1 per-game ticks, …`."""
    titles: dict[str, list[str]] = {}
    for format_ in sorted(FORMATS, key=lambda format_: int(format_.id[1:])):
        titles.setdefault(format_.id, []).append(format_.title)
    return ", ".join(f"{name} {' and '.join(each)}" for name, each in titles.items())


async def _import(options: argparse.Namespace, settings: CommonSettings, report: Report) -> None:
    """Do the import until it is done, told to stop, or out of time; `report` is kept up meanwhile."""
    stop = stop_on_signals()
    service.watch_lifeline(stop)
    work = asyncio.create_task(_work(options, settings, report))
    stack = running_stack(settings.data_dir)
    ending: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
    if stack is not None and stack.nats_url == _broker_url(settings):
        ending.append(asyncio.create_task(stack_stops(settings.data_dir, stack.pid)))
    await asyncio.wait((work, *ending), timeout=options.timeout, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
    else:
        report.fail(f"{_why(stop, ending, options)}; what was sent is kept, and the same import again does the rest")
        work.cancel()
        await asyncio.wait((work,), timeout=_CLOSING)
    for task in ending:
        task.cancel()


def _why(stop: asyncio.Event, ending: list[asyncio.Task[Any]], options: argparse.Namespace) -> str:
    """Say why the import ends before it is done."""
    if stop.is_set():
        return "stopped"
    if any(task.done() for task in ending):
        return "the stack was stopped"
    return f"not done within {options.timeout:g} seconds"


async def _work(options: argparse.Namespace, settings: CommonSettings, report: Report) -> None:
    files = list(find_files(options.paths, settings.data_dir, report.fail_to_read))
    nc = await rugs_bus.connect(_broker_url(settings), name=NAME, timeout=settings.connect_timeout)
    try:
        await _wait_for_stream(nc, settings.connect_timeout)
        showing, watch = watching(files)
        with Replacing() if options.replace else contextlib.nullcontext() as replacing:
            with showing:
                sender = Sender(nc, settings.data_dir, options.timezone, report, watch, replacing)
                try:
                    await sender.send(files)
                finally:
                    await sender.close()
            if not files and not report.errors:
                report.fail("nothing was imported: there is no file at all")
            if options.wait or replacing is not None:
                await wait_for_commits(nc, settings.data_dir, report)
            if replacing is not None:
                report.corrected = await asyncio.to_thread(replacing.apply, settings.data_dir)
        if options.wait or options.replace:
            await _look_for_repeated_games(settings.data_dir, report)
    finally:
        await nc.close()


async def _look_for_repeated_games(root: Path, report: Report) -> None:
    sessions = {one.session_id for one in report.files if one.format in _FORMATS_OF_TICKS}
    if sessions:
        waiting = Patience(asyncio.Event(), (LakeUnavailableError,), _RETRY_SECONDS)
        look = partial(asyncio.to_thread, repeated_games, root, sessions)
        report.repeated_games = await waiting.until_done("cannot read the lake", look)


def _broker_url(settings: CommonSettings) -> str:
    """Return where the broker is: `NATS_URL`, or the running stack's own, or where that would be."""
    stack = None if settings.nats_url else running_stack(settings.data_dir)
    return stack.nats_url if stack else settings.broker_url


async def _wait_for_stream(nc: Client, seconds: float) -> None:
    """Wait until the stream is there: the writer makes it. A broker that has gone meanwhile is waited for.

    Raises:
        BusError: if it is not made in time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            await stream_state(nc)
            return
        except StreamAbsentError as error:
            if loop.time() > deadline:
                raise BusError("the broker has no stream for events: start the parquet-writer (rugs up)") from error
        except BusUnavailableError:
            deadline = loop.time() + seconds
        await asyncio.sleep(_LOOK_AGAIN)


def _keep(report: Report, settings: CommonSettings) -> None:
    """Keep the report with every file in the manifests."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
    try:
        ledger.write_report(settings.data_dir, name, report.details())
    except OSError as error:
        report.fail(f"the report cannot be kept: {one_line(error)}")


def _show(report: Report, as_json: bool) -> None:
    summary = report.summary()
    if as_json:
        print(json.dumps(summary))
    else:
        nouns = {name: f"{summary[name]} {name[:-1] if summary[name] == 1 else name}" for name in _COUNTED}
        told = {**summary, **nouns}
        print("{files}, {lines}: {records}, {rejected} rejected, {blank} blank; {salvaged} salvaged".format(**told))
        if summary["stored"] is not None:
            print("{stored} stored, {duplicates}, {seconds:.1f} s".format(**told))
        else:
            print("{seconds:.1f} s; not everything is known to be stored (--wait waits for it)".format(**summary))
        for skipped in report.skipped_files:
            print("skipped {file}: {reason}".format(**skipped))
        for note in report.notes():
            print(note)
    for failure in report.failures[:_FAILURES_SHOWN]:
        _complain(failure, FAILED)
    if len(report.failures) > _FAILURES_SHOWN:
        _complain(f"and {len(report.failures) - _FAILURES_SHOWN} more; the report has them", FAILED)


def _complain(reason: str, code: int) -> int:
    print(f"{NAME}: {' '.join(reason.split())}", file=sys.stderr)
    return code
