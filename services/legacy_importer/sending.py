"""One import: files are looked at, read, and sent to the bus; each is a run of its own in the ledger.

If the process dies here, nothing is lost and nothing is stored twice: a run whose last
message was not sent never becomes a ledger entry, so the next import reads the file
again, and the lake knows by their ids the events that it has already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final, TypeVar

from nats.aio.client import Client

from legacy_importer.replacing import Replacing
from legacy_importer.report import FileReport, Report
from rugs_bus import BusError, BusUnavailableError, Publisher, put_blob
from rugs_bus.import_run import ImportRun
from rugs_core.patience import Patience
from rugs_lake import LakeError, LakeUnavailableError
from rugs_lake.store import ledger
from rugs_legacy.batches import Message, messages
from rugs_legacy.envelopes import printable
from rugs_legacy.exported.beside import look_at_candidate
from rugs_legacy.exported.known import Known
from rugs_legacy.lines import FileChangedError
from rugs_legacy.recognise import UnknownFormatError, UnreadableFileError
from rugs_legacy.recording import Counts, Recording, read

_SMALL: Final = 256 * 1024
"""Bytes of a file that is looked at in less time than a thread takes that does it."""
_PASSING: Final = (BusUnavailableError, LakeUnavailableError)
_RETRY_SECONDS: Final = 1.0

_T = TypeVar("_T")


class Sender:
    """Sends files to the bus and notes in `report` what became of each.

    `watch` is told of each file how many of its bytes are dealt with so far. With `replacing` every file is read,
    and its rows are gathered there.
    """

    def __init__(
        self,
        nc: Client,
        root: Path,
        timezone: str,
        report: Report,
        watch: Callable[[Path, int], None],
        replacing: Replacing | None = None,
    ) -> None:
        self._nc = nc
        self._root = root
        self._timezone = timezone
        self._report = report
        self._watch = watch
        self._replacing = replacing
        self._patience = Patience(asyncio.Event(), _PASSING, _RETRY_SECONDS)  # who wants its end cancels it
        self._publisher = Publisher(nc)
        self._known = Known(root)
        self._first_of: dict[tuple[str, str], FileReport] = {}
        self._finishing: set[asyncio.Task[None]] = set()

    async def send(self, files: Iterable[Path]) -> None:
        """Send all files, and return when the broker has them."""
        copies: list[tuple[FileReport, FileReport]] = []
        for path in files:
            recording = await self._look_at(path)
            if recording is None:
                continue
            one = FileReport.of(recording)
            self._report.files.append(one)
            if recording.fault is not None:  # what it holds is imported, but nobody can say that it is right, and all
                self._report.fail(f"{path}: {recording.fault}")
            before = await self._from_lake(partial(ledger.imports_of, self._root, one.sha256))
            if before and before[0].report is not None and before[0].report["tz"] != one.tz:
                one.stored_tz = before[0].report["tz"]
            first = self._first_of.setdefault((one.sha256, one.reader), one)
            if first is not one:
                copies.append((one, first))
            elif self._replacing is None and (same := [each for each in before if each.is_by(one.reader, one.tz)]):
                one.take_known(same[0].report or {}, "known")
            else:
                await self._send_file(recording, one)
            self._watch(path, recording.lying(recording.size))
        while self._finishing:
            await asyncio.wait(self._finishing)
        for one, first in copies:
            if first.state == "failed":
                one.fail(f"it is a copy of {first.file}, which failed")
            else:
                one.take_known(vars(first), "copy")

    async def close(self) -> None:
        """Stop at once; what the broker has not confirmed may come again with the next import."""
        for task in self._finishing:
            task.cancel()
        await self._publisher.close()
        self._known.close()

    async def _look_at(self, path: Path) -> Recording | None:
        try:
            if _is_small(path):
                return look_at_candidate(path, self._timezone)
            return await asyncio.to_thread(look_at_candidate, path, self._timezone)
        except UnknownFormatError as error:
            self._report.skip(str(path), str(error))
            if isinstance(error, UnreadableFileError):
                self._report.fail(f"{path}: {error}")
        except (OSError, FileChangedError) as error:
            self._report.fail_to_read(path, error)
        return None

    async def _send_file(self, recording: Recording, one: FileReport) -> None:
        counts = Counts()
        # A session's messages arrive in their order; those of different sessions overtake each other.
        run = ImportRun(self._publisher, one.session_id)
        one.run_id = run.id
        if self._known.wants_lake(recording):
            await self._from_lake(self._known.open_lake)
        try:
            for message in self._messages(recording, counts):
                if message.parked is not None:
                    await self._put(*message.parked)
                await run.publish(message.subject, message.body)
                if self._replacing is not None:
                    await asyncio.to_thread(self._replacing.add, message)
                self._watch(recording.path, recording.lying(counts.read))
                await asyncio.sleep(0)  # reading is work: let the connection have its turn
        except (OSError, FileChangedError, BusError, LakeError) as error:
            one.fail(f"{error}; import it again")
        one.take_counts(counts)
        one.known = self._known.events
        finishing = asyncio.create_task(self._finish(recording, one, run))
        self._finishing.add(finishing)
        finishing.add_done_callback(self._finishing.discard)

    async def _put(self, name: str, data: bytes) -> None:
        await self._patience.until_done("cannot put a large frame", lambda: put_blob(self._nc, name, data))

    async def _from_lake(self, read: Callable[[], _T]) -> _T:
        return await self._patience.until_done("cannot read the lake", lambda: asyncio.to_thread(read))

    def _messages(self, recording: Recording, counts: Counts) -> Iterator[Message]:
        """Give a file's messages, without what the lake is known to have; no message is of two sessions."""
        envelopes = self._known.take_out(recording, read(recording, counts), counts)
        for _, of_one_session in groupby(envelopes, lambda envelope: envelope["session_id"]):
            yield from messages(of_one_session)

    async def _finish(self, recording: Recording, one: FileReport, run: ImportRun) -> None:
        """Close the run, unless the file could not be read to its end."""
        try:
            await run.settle()
            if one.state != "failed":
                await run.close(one.ledger_entry(printable(recording.path.name)))
                one.state = "sent"
        except BusError as error:
            one.fail(str(error))


def _is_small(path: Path) -> bool:
    try:
        return path.stat().st_size <= _SMALL
    except OSError:  # whoever looks at it says what it is
        return False
