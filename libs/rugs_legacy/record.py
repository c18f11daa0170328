"""What a reader makes of one line, and what a format is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from rugs_legacy.errors import UnreadableError
from rugs_proto.envelope import MAX_NAME


class Record(NamedTuple):
    """One record of an old file, understood; all that an envelope needs besides its place and bytes.

    `ts` and `recv_ts` are microseconds since the Unix epoch, UTC; `zone` is the zone that
    was assumed for them ("" where the record says its own offset). `told` is the object that the
    record is, where something more may follow from it and it has no bytes of its own.
    """

    ts: int
    recv_ts: int | None
    zone: str
    doc_type: str
    event: str
    direction: str
    game_id: str | None
    player_id: str | None
    username: str | None
    fields: dict[str, Any]
    told: dict[str, Any] | None = None


Parse = Callable[[bytes], Record]
"""Reads one line; raises `UnreadableError` where it is no record of the format."""


class MakeParse(Protocol):
    """Makes a line reader."""

    def __call__(self, timezone: str, name: str = "") -> Parse:
        """Return a line reader of a file; `timezone` is the zone of its local times, `name` its base name."""


@dataclass(frozen=True)
class Format:
    """An old format.

    `version` goes up when the same bytes would be understood differently, so that the
    ledger knows an import by an older reader from one by this reader.
    """

    id: str
    version: int
    title: str
    names: re.Pattern[str]
    """File names that this format's writers gave."""

    @property
    def reader_name(self) -> str:
        """The reader as the import ledger knows it."""
        return f"{self.id}/{self.version}"


@dataclass(frozen=True)
class LineFormat(Format):
    """A format of one record a line: how its records are known, and how a line is read."""

    record_start: re.Pattern[bytes]
    """What each of its records begins with."""
    sniff: Callable[[dict[str, Any], bool], bool]
    """Whether an object found in a file is one of its records; the flag says that the file's name fits."""
    reader: MakeParse


MAX_ROWS: Final = 65_536
"""Rows of a document that go by their number there: see `rugs_legacy.documents`."""


class Document(NamedTuple):
    """A file that is one JSON value: one record, and the rows that are read out of it, in their order.

    Of the rows that the record says are there, those that could not be read are missing.
    """

    record: Record
    rows: Iterable[Record]


@dataclass(frozen=True)
class DocumentFormat(Format):
    """A format of one JSON value a file: how it is known, and how it is read."""

    marks: tuple[bytes, ...]
    """What stands in each of its files, also in one that is damaged."""
    is_array: bool
    """Whether its files are arrays. A damaged array is known by the marks alone; a damaged object by its name, too."""
    sniff: Callable[[Any, bool], bool]
    """Whether a JSON value is one of its documents; the flag says that the file's name fits."""
    read: Callable[[Any, str], Document]
    """Reads a value that was sniffed, given the zone of local times; raises `UnreadableError` where it is none."""
    salvage: tuple[re.Pattern[bytes], Parse] | None = None
    """What records begin with that stand in a damaged document whole, and how one is read, if any do."""


def check_name(text: object, what: str) -> str:
    """Return text that fits an envelope's names.

    Raises:
        UnreadableError: if it is not text, or too long, or not encodable.
    """
    if type(text) is not str:
        raise UnreadableError(f"{what} is not text")
    if len(text) > MAX_NAME:
        raise UnreadableError(f"{what} is longer than {MAX_NAME} characters")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UnreadableError(f"{what} holds half a surrogate pair")
    return text
