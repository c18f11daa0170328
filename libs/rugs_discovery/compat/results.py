"""What a scan found, by event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from rugs_discovery.compat.fields import FieldInfo

UNKNOWN: Final = "unknown"
"""The name under which records count whose `event` is missing, empty, or no string."""
MOST_ERRORS: Final = 1000
"""Errors that a result lists; further ones are counted."""


@dataclass
class EventInfo:
    """What is known of the records of one event.

    Attributes:
        fields: by path.
    """

    name: str
    count: int = 0
    fields: dict[str, FieldInfo] = field(default_factory=dict)

    def merge(self, later: EventInfo) -> None:
        """Take what is known of later records of the same event."""
        self.count += later.count
        for path, info in later.fields.items():
            self.fields.setdefault(path, FieldInfo(path, info.type, max_samples=info.max_samples)).merge(info)

    @property
    def truncated(self) -> int:
        """Objects and arrays that were not entered, because they were too deep."""
        return sum(info.truncated for info in self.fields.values())


@dataclass
class DiscoveryResult:
    """What is known of all events.

    Attributes:
        events: by name.
        total_lines: lines that were read; blank ones are not among them.
        files_scanned: files; one with the content of another is not counted again.
        errors: the first `MOST_ERRORS` errors, as `FILE:LINE: message`; the line is 0 where a file cannot be read.
        errors_left_out: errors that are not listed, because there are too many.
        rejects: lines that are no record.
    """

    events: dict[str, EventInfo] = field(default_factory=dict)
    total_lines: int = 0
    files_scanned: int = 0
    errors: list[str] = field(default_factory=list)
    errors_left_out: int = 0
    rejects: int = 0

    @property
    def records(self) -> int:
        """Records; of a result made by hand, whichever of its two counts is the larger."""
        return max(self.total_lines - self.rejects, sum(event.count for event in self.events.values()))

    def add_errors(self, *errors: str) -> None:
        """List errors as long as there is room, and count the others."""
        listed = errors[: max(0, MOST_ERRORS - len(self.errors))]
        self.errors += listed
        self.errors_left_out += len(errors) - len(listed)

    def merge(self, later: DiscoveryResult) -> None:
        """Take what is known of later files; `later` stays as it is."""
        for name, event in later.events.items():
            self.events.setdefault(name, EventInfo(name)).merge(event)
        self.total_lines += later.total_lines
        self.files_scanned += later.files_scanned
        self.rejects += later.rejects
        self.errors_left_out += later.errors_left_out
        self.add_errors(*later.errors)

    def sort(self) -> None:
        """Bring events into the order of their counts, fields into that of their paths."""
        for event in self.events.values():
            event.fields = dict(sorted(event.fields.items()))
        self.events = dict(sorted(self.events.items(), key=lambda item: (-item[1].count, item[0])))
