"""What an import did, file by file and in all."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from rugs_legacy.envelopes import printable
from rugs_legacy.record import DocumentFormat
from rugs_legacy.recording import Counts, Recording, why_without_records

COUNTED: Final = ("lines", "blank", "records", "rejected", "salvaged")

State = Literal["sending", "sent", "committed", "known", "copy", "failed"]


@dataclass
class FileReport:
    """One file that was read, or that is known from before.

    `state`: its messages are on their way (sending), at the broker (sent), in the lake
    (committed); it stands in the ledger already (known), came twice in this import (copy),
    or something went wrong (failed, and `error` says what). `stored` and `duplicates` cover
    records and salvaged ones, and are None until the lake has them; so does `refused`: those that were removed from the
    lake, and must not come back. `known` of the duplicates were not sent, since the file is an export's, and they
    were found there. `derived` events were read out of a document and are not among these; None where the file was
    not read. `note` says what is odd, and `stored_tz` with which other time zone the file was imported before.
    """

    file: str
    sha256: str
    format: str
    reader: str
    tz: str
    size: int
    session_id: str
    run_id: str = ""
    state: State = "sending"
    lines: int = 0
    blank: int = 0
    records: int = 0
    rejected: int = 0
    salvaged: int = 0
    known: int = 0
    derived: int | None = None
    packed_sha256: str | None = None
    note: str | None = None
    stored_tz: str | None = None
    stored: int | None = None
    duplicates: int | None = None
    refused: int = 0
    error: str | None = None

    @classmethod
    def of(cls, recording: Recording) -> FileReport:
        """Begin the report on a file."""
        return cls(
            file=printable(str(recording.path)),
            sha256=recording.sha256,
            format=recording.format.id,
            reader=recording.format.reader_name,
            tz=recording.timezone,
            size=recording.size,
            session_id=recording.session_id,
            packed_sha256=recording.packed_sha256,
            note=_note_on(recording),
        )

    def take_counts(self, counts: Counts) -> None:
        """Take over what was counted while the file was read."""
        for name in COUNTED:
            setattr(self, name, getattr(counts, name))
        self.derived = counts.derived

    def take_known(self, told: dict[str, Any], state: Literal["known", "copy"]) -> None:
        """Take over the counts of an import of the same bytes: nothing of this file is new."""
        for name in COUNTED:
            setattr(self, name, int(told[name]))
        self.stored, self.duplicates, self.state = 0, self.events, state

    def fail(self, reason: str) -> None:
        """Note what went wrong; the first reason stands."""
        self.state = "failed"
        self.error = self.error or reason

    @property
    def events(self) -> int:
        """Records that the lake is to hold."""
        return self.records + self.salvaged

    @property
    def why_without_records(self) -> str | None:
        """Why the file counts as a failure although it was read: not one of its lines is a record."""
        return why_without_records(self.lines - self.blank, self.events)

    def ledger_entry(self, name: str) -> str:
        """Return what the run's last message carries, as ASCII JSON; `name` is the file's base name."""
        told = {key: getattr(self, key) for key in ("sha256", "format", "reader", "tz", "size", *COUNTED)}
        return json.dumps({"file": name, **told, **({"known": self.known} if self.known else {})})


def _note_on(recording: Recording) -> str | None:
    """Return what is odd about a packed file."""
    if recording.fault is not None:
        return f"{recording.fault}; what could be unpacked was read"
    if recording.is_cut:
        return "the packed file ends too early: what is in it until there was read"
    if recording.behind:
        became = "left alone" if isinstance(recording.format, DocumentFormat) else "read as its last lines"
        return f"{recording.behind} bytes that are not packed stand behind the others: they were {became}"
    return None


@dataclass
class Report:
    """The whole import."""

    files: list[FileReport] = field(default_factory=list)
    skipped_files: list[dict[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    repeated_games: list[dict[str, Any]] | None = None
    """Games that a recording shares with others in the lake; None where that was not looked up."""
    corrected: int | None = None
    """With `--replace`: stored rows that differed from what their file says, and were rewritten."""
    seconds: float = 0.0

    def skip(self, file: str, reason: str) -> None:
        """Name a file that was not read, and why."""
        self.skipped_files.append({"file": printable(file), "reason": printable(reason)})

    def fail(self, error: str) -> None:
        """Note an error of the import as a whole, or of a file that could not be read."""
        self.errors.append(printable(error))

    def fail_to_read(self, path: Path, error: Exception) -> None:
        """Name a file or folder that cannot be read, and why: the import goes on with the others."""
        reason = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        self.skip(str(path), reason)
        self.fail(f"{path}: {reason}")

    @property
    def failures(self) -> list[str]:
        """One line for everything that went wrong."""
        of_files = ((one.file, one.error or one.why_without_records) for one in self.files)
        return [*self.errors, *(f"{file}: {reason}" for file, reason in of_files if reason)]

    def summary(self) -> dict[str, Any]:
        """Return the import in figures, in the shape that `--json` prints.

        `stored` and `duplicates` are null while a file is not known to be in the lake.
        """
        figures: dict[str, Any] = {"files": len(self.files)}
        for name in COUNTED:
            figures[name] = sum(getattr(one, name) for one in self.files)
        for name in ("stored", "duplicates"):
            known = [getattr(one, name) for one in self.files]
            figures[name] = None if None in known else sum(known)
        figures["refused"] = sum(one.refused for one in self.files)
        if self.corrected is not None:
            figures["corrected"] = self.corrected
        names = [skipped["file"] for skipped in self.skipped_files]
        told = {"skipped_files": names, "notes": self.notes(), "failures": self.failures}
        return {**figures, **told, "seconds": round(self.seconds, 3)}

    def details(self) -> dict[str, Any]:
        """Return the import with every file, and why others were skipped, as it is kept in the manifests."""
        files = [asdict(one) for one in self.files]
        told = {"errors": self.errors, "skipped": self.skipped_files, "repeated_games": self.repeated_games}
        return {**self.summary(), **told, "file_reports": files}

    def notes(self) -> list[str]:
        """Return what is worth a line to somebody who watches, besides figures and failures."""
        notes = [f"{one.file}: {one.note}" for one in self.files if one.note]
        if self.corrected is not None:
            notes.append(f"rows corrected: {self.corrected}")
        elif zones := Counter(one.stored_tz for one in self.files if one.stored_tz):
            told = ", ".join(f"{count} with {zone}" for zone, count in zones.items())
            notes.append(f"files imported before with another time zone: {told}; what is stored keeps its times")
        if refused := sum(one.refused for one in self.files):
            notes.append(f"records that were removed from the lake, and stay away: {refused}")
        if self.repeated_games:
            ticks = sum(game["repeated"] for game in self.repeated_games)
            notes.append(
                f"games in more than one recording: {len(self.repeated_games)}, with {ticks} ticks"
                " that several tell; nothing was left out, and the report has them"
            )
        return notes
