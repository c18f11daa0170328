"""What a reader makes of one line, and what a format is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from rugs_legacy.errors import UnreadableError
from rugs_proto.envelope import MAX_NAME


class Record(NamedTuple):
    """One record of an old file, understood; all that an envelope needs besides its place and bytes.

    `ts` and `recv_ts` are microseconds since the Unix epoch, UTC; `zone` is the zone that
    was assumed for them ("" where the record says its own offset).
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


Parse = Callable[[bytes], Record]
"""Reads one line; raises `UnreadableError` where it is no record of the format."""


class MakeParse(Protocol):
    """Makes a line reader."""

    def __call__(self, timezone: str, name: str = "") -> Parse:
        """Return a line reader of a file; `timezone` is the zone of its local times, `name` its base name."""


@dataclass(frozen=True)
class Format:
    """An old format of one record a line: how its files and lines are known, and how a line is read.

    `version` goes up when the same bytes would be understood differently, so that the
    ledger knows an import by an older reader from one by this reader.
    """

    id: str
    version: int
    title: str
    names: re.Pattern[str]
    """File names that this format's writers gave."""
    record_start: re.Pattern[bytes]
    """What each of its records begins with."""
    sniff: Callable[[dict[str, Any], bool], bool]
    """Whether an object found in a file is one of its records; the flag says that the file's name fits."""
    reader: MakeParse

    @property
    def reader_name(self) -> str:
        """The reader as the import ledger knows it."""
        return f"{self.id}/{self.version}"


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
