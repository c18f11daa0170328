"""One reconciliation: which files there are, what each is compared with, and what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rugs_legacy.envelopes import printable
from rugs_legacy.export.known import is_manifest
from rugs_legacy.files import find_files
from rugs_legacy.lines import FileChangedError
from rugs_legacy.recognise import UnknownFormatError
from rugs_legacy.reconcile.compare import Row, Tally, pairs, pairs_by_content
from rugs_legacy.reconcile.imported import dataset_rows, file_rows, stored_sessions
from rugs_legacy.reconcile.live import live_pairs
from rugs_legacy.recording import Recording, look_at

if TYPE_CHECKING:
    from rugs_lake.reader import Lake

Progress = Callable[[int, int], None]
"""Told how many bytes of the files are compared, of how many."""


@dataclass
class Report:
    """What a reconciliation found.

    Attributes:
        snapshot: of the data set.
        full: whether every row's key fields and bytes were compared, and not a sample's.
        files: those that were compared; `copies` of them have the same bytes as another.
        live_files: those of which nothing was imported, compared with what was captured live.
        skipped: files of no known format, with the reason; errors: files that could not be read.
    """

    snapshot: int
    full: bool
    tally: Tally = field(default_factory=Tally)
    files: int = 0
    copies: int = 0
    live_files: int = 0
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
            name: getattr(tally, name) for name in ("compared", "missing", "extra", "different", "moved", "sessions")
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
            "games": len(tally.games),
            "days": {day: {"files": one, "dataset": other} for day, (one, other) in sorted(tally.days.items())},
            "missing_events": [{"session": session, "event": event} for session, event in tally.missing_events],
            "differences": [{**group._asdict(), **asdict(count)} for group, count in tally.differences.items()],
            "unnamed_differences": tally.unnamed,
            "skipped_files": self.skipped,
            "errors": self.errors,
        }


def reconcile(
    lake: Lake, root: Path, paths: Iterable[Path], timezone: str, *, full: bool, progress: Progress
) -> Report:
    """Compare old files with the data set.

    Raises:
        ValueError: if there is no such time zone.
    """
    report = Report(lake.snapshot, full)
    by_session = _by_session(_recordings(find_files(paths, root), timezone, report), report)
    watch = _Watch(progress, by_session)
    imported = stored_sessions(lake, by_session)
    known, again = sorted(imported), list[str]()
    rows = _guarded(by_session, known, report, watch, full=full)
    report.tally.take(pairs(rows, dataset_rows(lake, known, full=full)), again)
    for session in again:  # once more, and closely: what only moved is not missing
        rows = _guarded(by_session, [session], report, watch, full=True)
        report.tally.take(pairs_by_content(rows, dataset_rows(lake, [session], full=True)))
    for session, recordings in by_session.items():
        for recording in recordings if session not in imported else ():
            _take_live(lake, recording, report, watch)
            watch.read(recording, recording.size)
    return report


def _recordings(files: Iterable[Path], timezone: str, report: Report) -> Iterator[Recording]:
    for path in files:
        if is_manifest(path):
            report.skipped.append({"file": printable(str(path)), "reason": "the manifest of an export"})
            continue
        try:
            yield look_at(path, timezone)
        except UnknownFormatError as error:
            report.skipped.append({"file": printable(str(path)), "reason": printable(str(error))})
        except (OSError, FileChangedError) as error:
            report.fail(f"{path}: {error}")


def _by_session(recordings: Iterable[Recording], report: Report) -> dict[str, list[Recording]]:
    """Return the files by session, each content once."""
    found: dict[str, list[Recording]] = {}
    seen: set[tuple[str, str]] = set()
    for recording in recordings:
        report.files += 1
        if (content := (recording.session_id, recording.sha256)) in seen:
            report.copies += 1
            continue
        seen.add(content)
        found.setdefault(recording.session_id, []).append(recording)
    return found


def _guarded(
    by_session: dict[str, list[Recording]], sessions: Iterable[str], report: Report, watch: _Watch, *, full: bool
) -> Iterator[Row]:
    """Give the rows of the files of these sessions; a file that cannot be read to its end is an error."""
    for session in sessions:
        try:
            yield from file_rows(by_session[session], full=full, watch=watch.read)
        except (OSError, FileChangedError) as error:
            report.fail(f"{by_session[session][0].path}: {error}")
        for recording in by_session[session]:
            watch.read(recording, recording.size)


def _take_live(lake: Lake, recording: Recording, report: Report, watch: _Watch) -> None:
    """Compare a file of which nothing was imported: with live capture, or it is missing as a whole."""
    try:
        found = live_pairs(lake, recording)
        if found is not None:
            report.live_files += 1
            report.tally.take(found)
        else:
            report.tally.take(pairs(file_rows([recording], full=report.full, watch=watch.read), []))
    except (OSError, FileChangedError) as error:
        report.fail(f"{recording.path}: {error}")


class _Watch:
    """Sums up how far the files are read."""

    def __init__(self, progress: Progress, by_session: dict[str, list[Recording]]) -> None:
        self._progress = progress
        self._total = sum(recording.size for recordings in by_session.values() for recording in recordings)
        self._of: dict[Path, int] = {}
        self._done = 0

    def read(self, recording: Recording, done: int) -> None:
        before = self._of.get(recording.path, 0)
        if done != before:
            self._of[recording.path] = done
            self._done += done - before
            self._progress(self._done, self._total)
