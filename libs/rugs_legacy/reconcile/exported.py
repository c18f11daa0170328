"""Exports that no old recorder would have written: one file of many sessions, with all that was captured.

They are not compared with a session or a game, but line by line with the events that their manifest names,
as the importer does that takes none of them in a second time: each has to give the line, byte for byte. What
the data set has beside these events is not looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from rugs_legacy.envelopes import Envelope
from rugs_legacy.exported.known import Known, Manifests
from rugs_legacy.line_formats.request import Format
from rugs_legacy.reconcile.compare import Pair, Row
from rugs_legacy.reconcile.imported import file_rows
from rugs_legacy.recording import Counts, Recording, read


def exported_pairs(root: Path, recording: Recording, envelopes: Iterable[Envelope]) -> Iterator[Pair] | None:
    """Return the pairs of such an export's lines, its `envelopes`, and of the events that they are; None if it is none.

    The places of lines that are not known are held in memory.

    Raises:
        OSError: if the file cannot be read, or the lake not asked.
        FileChangedError: if the file has changed.
    """
    claims = Manifests().claims(recording)
    if claims is None or (claims.manifest.format is not Format.CLAUDE_FLOW and len(claims.sessions()) < 2):
        return None
    with closing(Known(root)) as known:
        unknown = {each["seq"] for each in known.take_out(recording, read(recording, Counts()), Counts())}
        if not known.events:
            return None
    return (_pair(row, is_known=row.key[1] not in unknown) for row in file_rows([envelopes], full=True))


def _pair(row: Row, *, is_known: bool) -> Pair:
    return Pair(row, row if is_known else None, ())
