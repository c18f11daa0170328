"""A lake that tests fill by hand, with what was captured live and what is read from files, and export from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import rugs_lake
from rugs_export import run
from rugs_export.run import Exported
from rugs_feed import frames
from rugs_feed.normalise import normalise_frame
from rugs_legacy.exported.known import Known
from rugs_legacy.line_formats.request import Format, Request
from rugs_legacy.reconcile.run import Report, look_at_files, reconcile
from rugs_legacy.recording import Counts, look_at, read
from rugs_sim.made_up.feed import Sent
from tests.support import lakekit

NEW_YORK: Final = "America/New_York"
Envelope = dict[str, Any]


class TakenIn(NamedTuple):
    """What an import did: of its records, new ones, and others; `known` of these were not sent."""

    counts: Counts
    stored: int
    duplicates: int
    known: int


class Shelf:
    """A lake, its writer, and the files beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "data"
        self._writer = lakekit.open_writer(self.root)
        self._seq = 0

    def put(self, envelopes: Iterable[Envelope]) -> Counter[str]:
        """Take envelopes into the lake, a commit for all; return its totals."""
        given = list(envelopes)
        messages = []
        for _, group in groupby(given, lambda each: (each["doc_type"], each["source"], each["session_id"])):
            self._seq += 1
            messages.append(lakekit.message(self._seq, *group))
        return lakekit.commit(self._writer, *messages).totals if messages else Counter()

    def file(self, name: str, lines: Iterable[bytes]) -> Path:
        """Write a file of lines beside the lake."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    def take_in(self, path: Path) -> TakenIn:
        """Import a file as the importer does."""
        known, counts = Known(self.root), Counts()
        recording = look_at(path, NEW_YORK)
        envelopes = list(known.take_out(recording, read(recording, counts), counts))
        known.close()
        totals = self.put(envelopes)
        rejects = sum(each["doc_type"] == "reject" for each in envelopes)
        rejects_before = rejects - totals["rejected"]
        assert counts.lines == counts.records + counts.rejected + counts.blank
        taken = TakenIn(counts, totals["stored"], totals["duplicates"] - rejects_before + known.events, known.events)
        assert counts.records + counts.salvaged == taken.stored + taken.duplicates
        return taken

    def take_in_all(self, folder: Path) -> TakenIn:
        """Import all recordings of a folder."""
        taken = [self.take_in(path) for path in sorted(folder.glob("*.jsonl")) if path.stat().st_size]
        return TakenIn(Counts(), *(sum(each[place] for each in taken) for place in (1, 2, 3)))  # type: ignore[misc]

    def export(
        self, format_: Format, out: Path | str | None = None, *, force: bool = False, **filters: Any
    ) -> Exported:
        """Export to `out`, a path beside the lake."""
        request = Request(format_, **filters)
        with rugs_lake.open(self.root) as lake:
            path = None if out is None else self.folder / out
            return run.export(lake, request, run.target(self.root, request, path, force=force), lambda _, __: None)

    def reconcile(self, *paths: Path, full: bool = True) -> Report:
        """Compare files with the lake."""
        files = look_at_files(paths, self.root, NEW_YORK)
        with rugs_lake.open(self.root) as lake:
            return reconcile(lake, self.root, files, full=full, progress=lambda _, __: None)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the lake."""
        return lakekit.select(self.root, query)

    def close(self) -> None:
        """End the writer."""
        self._writer.close()


def live(seq: int, raw: str | bytes, **changes: Any) -> Envelope:
    """Return the envelope of a WebSocket message that was captured live."""
    said = normalise_frame(frames.decode(raw))
    told = {"event": said.event, "fields": said.fields, "game_id": said.game_id, "raw": raw}
    return lakekit.envelope(**{"seq": seq, **told, **changes})


def sent(events: Sequence[Sent], **changes: Any) -> list[Envelope]:
    """Return what a feed sent as it would have been captured: whole messages."""
    return [
        live(seq, "42" + json.dumps([each.event, *each.arguments], separators=(",", ":")), ts=each.at, **changes)
        for seq, each in enumerate(events, 1)
    ]


def lines_of(path: Path) -> list[bytes]:
    """Return a file's lines."""
    return path.read_bytes().splitlines()


def records_of(path: Path) -> list[dict[str, Any]]:
    """Return a file's lines as JSON."""
    return [json.loads(line) for line in lines_of(path)]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
