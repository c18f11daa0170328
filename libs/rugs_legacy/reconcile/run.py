"""One reconciliation: which files there are, what each is compared with, and what came out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rugs_core.time import now_us
from rugs_lake.read.rejects import completed
from rugs_lake.read.removals import Removals
from rugs_legacy.envelopes import printable
from rugs_legacy.exported.beside import look_at_candidate
from rugs_legacy.files import find_files
from rugs_legacy.lines import FileChangedError
from rugs_legacy.recognise import UnknownFormatError, UnreadableFileError
from rugs_legacy.reconcile.compare import Row, Tally, pairs, pairs_by_content
from rugs_legacy.reconcile.exported import exported_pairs
from rugs_legacy.reconcile.files import Files, Progress
from rugs_legacy.reconcile.imported import dataset_rows, file_rows, stored_sessions
from rugs_legacy.reconcile.live import games_of, live_pairs
from rugs_legacy.recording import Recording

if TYPE_CHECKING:
    from rugs_lake.read.reader import Lake


@dataclass
class Report:
    """What a reconciliation found.

    Attributes:
        snapshot: of the data set.
        full: whether every row's key fields and bytes were compared, and not a sample's.
        files: those that were compared; `copies` of them have the same bytes as another.
        live_files: those of which nothing was imported, compared with what was captured live.
        removed: rows of the files that were removed from the data set for good: they are not compared.
        skipped: files of no known format, with the reason; errors: files that could not be read.
    """

    snapshot: int
    full: bool
    tally: Tally = field(default_factory=Tally)
    files: int = 0
    copies: int = 0
    live_files: int = 0
    removed: int = 0
    skipped: list[dict[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether the data set holds what the files say, and nothing else of their sessions."""
        return self.tally.is_equal and not self.errors

    def fail(self, error: str) -> None:
        """Note that a file could not be read, once."""
        if (text := printable(error)) not in self.errors:
            self.errors.append(text)

    def as_dict(self) -> dict[str, Any]:
        """Return it as `rugs reconcile --json` prints it."""
        tally = self.tally
        counts = {
            name: getattr(tally, name)
            for name in ("compared", "missing", "extra", "different", "moved", "completed", "recent", "sessions")
        }
        return {
            "equal": self.is_equal,
            "snapshot": self.snapshot,
            "full": self.full,
            "files": self.files,
            "copies": self.copies,
            "live_files": self.live_files,
            "rows": {"files": tally.files, "dataset": tally.dataset},
            **counts,
            "removed": self.removed,
            "games": len(tally.games),
            "days": {day: {"files": one, "dataset": other} for day, (one, other) in sorted(tally.days.items())},
            "missing_events": [{"session": session, "event": event} for session, event in tally.missing_events],
            "differences": [{**group._asdict(), **asdict(count)} for group, count in tally.differences.items()],
            "unnamed_differences": tally.unnamed,
            "skipped_files": self.skipped,
            "errors": self.errors,
        }


@dataclass
class LookedAt:
    """Files as they were at one moment: what is appended to them later is not compared.

    Attributes:
        recordings: those that are of a known format.
        skipped: the others, with the reason.
        errors: files and folders that could not be read.
        at: when that was, microseconds, UTC.
    """

    at: int
    recordings: list[Recording] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def fail(self, path: Path, error: Exception | str) -> None:
        """Note that a file or folder cannot be read, and why: the others are compared."""
        if not isinstance(error, str):
            error = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        self.errors.append(f"{path}: {error}")


def look_at_files(paths: Iterable[Path], root: Path, timezone: str) -> LookedAt:
    """Look at old files. Where they are still being written, do so before the lake is opened: then it has their rows.

    Raises:
        ValueError: if there is no such time zone.
    """
    files = LookedAt(now_us())
    for path in find_files(paths, root, files.fail):
        try:
            recording = look_at_candidate(path, timezone)
        except UnknownFormatError as error:
            files.skipped.append({"file": printable(str(path)), "reason": printable(str(error))})
            if isinstance(error, UnreadableFileError):
                files.fail(path, str(error))
        except (OSError, FileChangedError) as error:
            files.fail(path, error)
        else:
            if recording.fault is not None:
                files.fail(path, recording.fault)
            files.recordings.append(recording)
    return files


def reconcile(lake: Lake, root: Path, given: LookedAt, *, full: bool, progress: Progress) -> Report:
    """Compare old files with the data set."""
    report = Report(lake.snapshot, full, skipped=given.skipped)
    for error in given.errors:
        report.fail(error)
    files = Files(given.recordings, report.fail, progress, Removals(root).cover)
    report.files, report.copies = files.count, files.copies
    if not files.count and not report.errors:
        report.fail(f"nothing was compared: none of {len(report.skipped)} files is a recording")
    imported = stored_sessions(lake, files.by_session)
    cut = completed(lake) if imported else set[str]()
    known, again = sorted(imported), list[str]()
    rows = _rows(files, known, full=full)
    report.tally.take(pairs(rows, dataset_rows(lake, known, cut, full=full)), again)
    for session in again:  # once more, and closely: what only moved is not missing
        rows = _rows(files, [session], full=True)
        report.tally.take(pairs_by_content(rows, dataset_rows(lake, [session], cut, full=True)))
    live = ((session, each) for session, all_ in files.by_session.items() if session not in imported for each in all_)
    _take_live(lake, root, files, live, report, given.at)
    report.removed = files.removed
    return report


def _rows(files: Files, sessions: Iterable[str], *, full: bool) -> Iterator[Row]:
    """Give the rows that the files have of sessions."""
    for session in sessions:
        yield from file_rows([files.envelopes(each, session) for each in files.by_session[session]], full=full)


def _take_live(
    lake: Lake, root: Path, files: Files, live: Iterable[tuple[str, Recording]], report: Report, at: int
) -> None:
    """Compare files of which nothing was imported: with live capture, or they are missing as a whole.

    Each is compared alone, and what differs then once more, together with the others that have its games.
    """
    differing: list[tuple[str, Recording, set[str]]] = []
    for session, recording in live:
        try:
            of_lines = exported_pairs(root, recording, files.envelopes(recording, session))
        except (OSError, FileChangedError) as error:
            report.fail(f"{recording.path}: {error}")
            continue
        if of_lines is not None:
            report.live_files += 1
            report.tally.take(of_lines)
            continue
        found = live_pairs(lake, [(session, files.envelopes(recording, session))], at)
        if found is None:
            rows = file_rows([files.envelopes(recording, session)], full=report.full, at=at)
            report.tally.take(pairs(rows, []))
            continue
        report.live_files += 1
        if all(pair.is_equal for pair in found):
            report.tally.take(found)
        else:
            differing.append((session, recording, games_of(found)))
    for group in _with_games_in_common(differing):
        found = live_pairs(lake, [(session, files.envelopes(recording, session)) for session, recording in group], at)
        report.tally.take(found or ())


def _with_games_in_common(files: Iterable[tuple[str, Recording, set[str]]]) -> list[list[tuple[str, Recording]]]:
    groups: list[tuple[set[str], list[tuple[str, Recording]]]] = []
    for session, recording, games in files:
        joined = (set(games), [(session, recording)])
        apart = []
        for group in groups:
            if group[0].isdisjoint(games):
                apart.append(group)
            else:
                joined = (joined[0] | group[0], group[1] + joined[1])
        groups = [*apart, joined]
    return [members for _, members in groups]
