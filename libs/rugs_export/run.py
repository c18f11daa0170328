"""One export, from a pinned snapshot to files and their manifest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rugs_core.time import from_us
from rugs_export import rows
from rugs_export.files import ExportError, OutFile, Target
from rugs_lake.read.rejects import completed
from rugs_lake.store.paths import LakePaths
from rugs_legacy import old_names
from rugs_legacy.clock import zone
from rugs_legacy.exported.manifest import VERSION, FileEntry, Manifest, Runs
from rugs_legacy.line_formats import stored
from rugs_legacy.line_formats.lines import GameTeller, Line, Teller
from rugs_legacy.line_formats.request import Format, Request
from rugs_legacy.line_formats.stored import OldFile

if TYPE_CHECKING:
    from rugs_lake.read.reader import Lake

Progress = Callable[[int, int], None]
"""Told how many events are dealt with, of how many."""

_STEP: Final = 500
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,180}\.jsonl")
_ALL_IN_ONE: Final = "events"
_AS_IN_THE_FILE: Final = "source, session_id, seq, doc_type != 'reject'"
"""A damaged line stands before what was salvaged out of its beginning."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote, and where."""

    folder: Path
    manifest: Path
    content: Manifest

    @property
    def lines(self) -> int:
        """Lines, or rows, of all files."""
        return sum(entry.lines for entry in self.content.files)


def target(root: Path, request: Request, out: Path | None, *, force: bool) -> Target:
    """Return where an export goes: `out`, a folder or a file, else a folder of its own below `exports/`.

    It is a file if its name ends as the format's files do.

    Raises:
        ExportError: if it lies under the data root and not below `exports/`.
    """
    exports = LakePaths(root).root / "exports"
    if out is None:
        return Target(exports / request.name, request.name, None, force=force)
    is_file = out.suffix == request.format.suffix and not out.is_dir()
    folder = out.parent if is_file else out
    real, inside = folder.resolve(), root.resolve()
    if real.is_relative_to(inside) and not real.is_relative_to(exports.resolve()):
        raise ExportError(f"{out} lies in the data folder: nothing is written there but below {exports}")
    return Target(folder, request.name, out.name if is_file else None, force=force)


def export(lake: Lake, request: Request, to: Target, progress: Progress) -> Exported:
    """Write what is asked for, all of it or nothing.

    Raises:
        ExportError: if a file of another origin is in the way, or another export writes there.
        OSError: if it cannot be written.
        ValueError: if there is no such time zone.
    """
    total = stored.count(lake, request)
    with to.opened():
        stored.keep_small(lake, to.aside / "sort")
        work = _Work(lake, request, to, _Watch(progress, total))
        files = work.lines() if request.format.is_lines else work.rows()
        content = Manifest(
            rugs_export=VERSION,
            format=request.format.value,
            timezone=request.timezone,
            filters=request.filters,
            dataset={"snapshot": lake.snapshot, "cursors": [list(cursor) for cursor in sorted(lake.cursors)]},
            left_out=dict(sorted(work.left_out.items())),
            sessions=work.runs.sessions,
            files=files,
        )
        to.publish(content)
    progress(total, total)
    return Exported(to.folder, to.manifest, content)


class _Watch:
    """Counts events as they go by."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def take(self, count: int) -> None:
        self._done += count
        self._progress(self._done, self._total)

    def over(self, events: Iterable[stored.Stored]) -> Iterator[stored.Stored]:
        for place, event in enumerate(events, 1):
            if place % _STEP == 0:
                self.take(_STEP)
            yield event


class _Work:
    """The writing of one export's files."""

    def __init__(self, lake: Lake, request: Request, to: Target, watch: _Watch) -> None:
        self._lake, self._request, self._to, self._watch = lake, request, to, watch
        self._zone = zone(request.timezone)
        self.runs = Runs()
        self.left_out: Counter[str] = Counter()

    def lines(self) -> list[FileEntry]:
        if self._request.format is Format.CLAUDE_FLOW:
            teller = Teller(self._zone, everything=True)
            events = self._stream(stored.FRAMES, "ts, source, session_id, seq")
            return self._write(teller.numbered(events), None, teller.left_out)
        self.left_out.update(stored.documents(self._lake, self._request))
        if self._request.format is Format.RAW:
            return self._captures()
        return self._games()

    def rows(self) -> list[FileEntry]:
        file = self._to.create(self._to.file or f"{_ALL_IN_ONE}{self._request.format.suffix}")
        try:
            writer = rows.writer(file, self._request.format)
            for table in rows.stream(self._lake, self._request):
                writer.write_table(table)
                file.lines += table.num_rows
                self._watch.take(table.num_rows)
            writer.close()
            return [file.finish(None)]
        finally:
            file.abandon()

    def _captures(self) -> list[FileEntry]:
        teller = Teller(self._zone)
        found = stored.old_files(self._lake, self._request, stored.FRAMES)
        events = self._stream(self._with_damage(stored.FRAMES), _AS_IN_THE_FILE)
        lines = teller.lines(events, in_one=self._to.file is not None)
        return self._write(lines, _Names(found, self._request.format, self._zone), teller.left_out)

    def _games(self) -> list[FileEntry]:
        teller = GameTeller(self._zone)
        old = stored.old_files(self._lake, self._request, stored.OLD_GAME_LINES)
        games = stored.games(self._lake, self._request)

        def lines() -> Iterator[Line]:
            yield from teller.lines(self._stream(self._with_damage(stored.OLD_GAME_LINES), _AS_IN_THE_FILE))
            yield from teller.games(self._stream(stored.TICKS_TOLD, "source, session_id, seq"), games)

        return self._write(lines(), _Names(old, self._request.format, self._zone), teller.left_out)

    def _with_damage(self, wanted: str) -> str:
        return stored.with_damage(wanted) if self._request.damaged else wanted

    def _stream(self, wanted: str, order: str) -> Iterator[stored.Stored]:
        events = self._watch.over(stored.stream(self._lake, self._request, wanted, order))
        if not self._request.damaged:
            return events
        cut = completed(self._lake)  # their whole lines are there, too
        return (event for event in events if event.id not in cut)

    def _write(self, lines: Iterable[Line], names: _Names | None, left_out: Counter[str]) -> list[FileEntry]:
        """Write lines into a file for each recording, called by `names`, or all into one.

        Those of a recording follow each other.
        """
        one = self._to.file or (f"{_ALL_IN_ONE}.jsonl" if names is None else None)
        entries: list[FileEntry] = []
        file: OutFile | None = self._to.create(one) if one is not None else None
        recording: Any = None
        try:
            for line in lines:
                if one is None and names is not None and line.recording != recording:
                    if file is not None:
                        entries.append(file.finish(self.runs.take()))
                    recording = line.recording
                    file = self._to.create(names.of(line))
                assert file is not None  # noqa: S101 - the first line opens one
                file.write_line(line.content)
                self.runs.add(line)
            if file is not None:
                entries.append(file.finish(self.runs.take()))
        finally:
            if file is not None:
                file.abandon()
        self.left_out += left_out
        return entries


class _Names:
    """Names the files of recordings: an imported one's own, else as the old recorder gave it.

    None is given twice, also where upper and lower case are one.
    """

    def __init__(self, old: Mapping[tuple[str, str], OldFile], format_: Format, zone: tzinfo) -> None:
        self._old, self._format, self._zone = old, format_, zone
        self._taken: set[str] = set()

    def of(self, first: Line) -> str:
        """Return the name of the file that begins with a line."""
        name = old_names.free_name(self._wanted(first), lambda name: name.lower() in self._taken)
        self._taken.add(name.lower())
        return name

    def _wanted(self, first: Line) -> str:
        source, session, *game = first.recording
        file = None if game else self._old.get((source, session))
        if file is not None and _PLAIN_NAME.fullmatch(file.name):
            return file.name
        began = from_us(first.ts if file is None else file.began).astimezone(self._zone)
        if self._format is Format.RAW:
            return old_names.capture_name(began)
        if file is not None and file.of_session:
            return old_names.session_name(began)
        return old_names.game_name(began, game[0] if game else "")
