"""The files of a reconciliation, by the sessions that their lines are imported into."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rugs_legacy.envelopes import Envelope
from rugs_legacy.exported.known import Manifests
from rugs_legacy.lines import FileChangedError
from rugs_legacy.recording import Counts, Recording, read, why_without_records

Progress = Callable[[int, int], None]
"""Told how many bytes of the files are compared, of how many."""


class Files:
    """Recordings, each content once; an exported one is what its manifest says, as it is for the importer.

    `fail` is told of a file that cannot be read to its end. Of an envelope `is_removed` says
    whether it was removed from the lake for good: it is left out then.

    Attributes:
        count: all of them; `copies` have the same bytes as another.
        by_session: those with lines of a session. An exported file may have lines of several.
    """

    def __init__(
        self,
        recordings: Iterable[Recording],
        fail: Callable[[str], None],
        progress: Progress,
        is_removed: Callable[[Envelope], bool] = lambda envelope: False,
    ) -> None:
        self.count = 0
        self.copies = 0
        self.by_session: dict[str, list[Recording]] = {}
        self._manifests = Manifests()
        self._fail = fail
        self._progress = progress
        self._total = 0
        self._done = 0
        self._done_of: dict[Path, int] = {}
        self._is_removed = is_removed
        self._removed_of: dict[tuple[Path, str], int] = {}
        seen: set[tuple[str, str]] = set()
        for recording in recordings:
            self.count += 1
            if (content := (recording.session_id, recording.sha256)) in seen:
                self.copies += 1
                continue
            seen.add(content)
            self._total += recording.size
            for session in self._manifests.sessions(recording):
                self.by_session.setdefault(session, []).append(recording)

    @property
    def removed(self) -> int:
        """How many rows of the files were left out because they were removed from the lake."""
        return sum(self._removed_of.values())

    def envelopes(self, recording: Recording, session: str) -> Iterator[Envelope]:
        """Give the envelopes of a file that are of a session."""
        counts = Counts()
        removed = 0
        try:
            for envelope in self._manifests.identified(recording, read(recording, counts)):
                if envelope["session_id"] == session:
                    if self._is_removed(envelope):
                        removed += "cause" not in envelope  # what is read out of a document follows from it
                    else:
                        yield envelope
                self._note(recording, counts.read)
        except (OSError, FileChangedError) as error:
            self._fail(f"{recording.path}: {error}")
        else:
            if reason := why_without_records(counts.lines - counts.blank, counts.records + counts.salvaged):
                self._fail(f"{recording.path}: {reason}")
        self._removed_of[recording.path, session] = removed
        self._note(recording, recording.size)

    def _note(self, recording: Recording, done: int) -> None:
        before = self._done_of.get(recording.path, 0)
        if done > before:  # a file may be read more than once
            self._done_of[recording.path] = done
            self._done += done - before
            self._progress(self._done, self._total)
