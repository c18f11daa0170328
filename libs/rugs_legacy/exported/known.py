"""The way back: what an exported file's lines are, when it is imported again.

The manifest beside the file claims which event each line is. A claim is never believed, it is
tried: the event is looked up, and what export would write of it has to be the line, byte for
byte. Then the event is in the lake, with all that the line says, and is not sent once more: its
own bytes are not the line's (live capture stores frames), and a part of a capture, sent as
frames, would have ticks derived anew that the part alone does not tell. An imported line that
is not in this lake keeps the identity that it is claimed to have, so that the old file, when it
comes, is recognised in its turn: its bytes are part of its id, and a wrong claim gives it a wrong place
and takes nothing away. Any other line is imported as any line is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rugs_lake import LakeAbsentError
from rugs_legacy.clock import zone
from rugs_legacy.envelopes import SOURCE, Envelope
from rugs_legacy.exported import manifest as manifests
from rugs_legacy.exported.manifest import Claim, Claims, Manifest
from rugs_legacy.line_formats.lines import GameTeller, Teller
from rugs_legacy.line_formats.request import Format
from rugs_legacy.line_formats.stored import COLUMNS, Stored, fetch, keep_small
from rugs_legacy.record import LineFormat
from rugs_proto import ids
from rugs_proto.rules import MAX_SEQ

if TYPE_CHECKING:
    from rugs_lake.read.reader import Lake
    from rugs_legacy.recording import Counts, Recording

_AT_ONCE: Final = 250
_BYTES_AT_ONCE: Final = 8 << 20
_Place = tuple[str, str, int]
_LOOK_UP: Final = (
    f"SELECT {COLUMNS} FROM events SEMI JOIN wanted USING (source, session_id, seq)"  # noqa: S608 - our own columns
    " WHERE cause IS NULL AND seq BETWEEN ? AND ?"
)


class Manifests:
    """What the manifests beside files say of them; those of a folder are read once."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, tuple[Manifest, manifests.FileEntry]]] = {}

    def claims(self, recording: Recording) -> Claims | None:
        """Return what a manifest says of a file's lines, to be asked once; it knows the file by its bytes."""
        if not isinstance(recording.format, LineFormat):
            return None  # no export writes whole documents
        folder = recording.path.parent
        if folder not in self._folders:
            found = ((entry.sha256, (one, entry)) for one in manifests.beside(folder) for entry in one.files)
            self._folders[folder] = dict(found)
        found_here = self._folders[folder].get(recording.sha256)
        return None if found_here is None or found_here[1].runs is None else Claims(*found_here)

    def sessions(self, recording: Recording) -> set[str]:
        """Return the sessions that a file's lines are imported into."""
        claims = self.claims(recording)
        if claims is None:
            return {recording.session_id}
        claimed = claims.sessions()
        return {session if is_raw and source == SOURCE else recording.session_id for source, session, is_raw in claimed}

    def identified(self, recording: Recording, envelopes: Iterable[Envelope]) -> Iterator[Envelope]:
        """Give a file's envelopes as they are imported where the lake has none of them."""
        claims = self.claims(recording)
        if claims is None:
            yield from envelopes
            return
        for told in _with_claims(envelopes, claims):
            yield _with_identity(told.envelope, told.claim)


class _Told(NamedTuple):
    """An envelope of a line, and what the line is claimed to be."""

    envelope: Envelope
    claim: Claim | None
    number: int


class Known:
    """Recognises the lines of exported files, for one import into one lake.

    `events` counts, file by file, records that were recognised and are not sent.
    """

    def __init__(self, root: Path) -> None:
        self.events = 0
        self._root = root
        self._lake: Lake | None = None
        self._manifests = Manifests()

    def close(self) -> None:
        """Close the lake, if it was opened."""
        if self._lake is not None:
            self._lake.close()

    def wants_lake(self, recording: Recording) -> bool:
        """Whether a file's lines may have to be looked up in the lake, which is not open yet."""
        return self._lake is None and self._manifests.claims(recording) is not None

    def open_lake(self) -> None:
        """Open the lake, if there is one; who does not is made to wait for it by the first look-up.

        Raises:
            LakeUnavailableError: if it cannot be read now.
        """
        self._opened()

    def take_out(self, recording: Recording, envelopes: Iterable[Envelope], counts: Counts) -> Iterator[Envelope]:
        """Give those of a file's envelopes that have to be sent; `events` says of how many others it is known.

        `counts` is corrected where the reader took a known line for a reject.
        """
        self.events = 0
        claims = self._manifests.claims(recording)
        if claims is None:
            yield from envelopes
            return
        checker = _Checker(claims.manifest)
        for told in _pieces(_with_claims(envelopes, claims)):
            stored = self._look_up([one.claim for one in told if _wants_look_up(one)])
            known_line = 0
            for envelope, claim, number in told:
                if claim is not None and checker.is_known(envelope, claim, stored.get(_place(claim), ()), number):
                    self.events += 1
                    known_line = number
                    if envelope["doc_type"] == "reject":
                        counts.rejected -= 1
                        counts.records += 1
                elif number == known_line:  # salvaged out of a line that is known as a whole
                    counts.salvaged -= 1
                else:
                    yield _with_identity(envelope, claim)

    def _look_up(self, claims: list[Claim | None]) -> dict[_Place, list[Stored]]:
        """Return the events that stand where the claims say."""
        places = {_place(claim) for claim in claims if claim is not None}
        lake = self._opened() if places else None
        if lake is None:
            return {}
        import duckdb
        import pyarrow as pa

        columns = [pa.array(values) for values in zip(*sorted(places), strict=True)]
        lake.connection.register("wanted", pa.table(columns, names=["source", "session_id", "seq"]))
        seqs = [seq for _, _, seq in places]
        found: dict[_Place, list[Stored]] = {}
        try:
            for row in fetch(lake, _LOOK_UP, [min(seqs), max(seqs)]):
                found.setdefault((row.source, row.session_id, row.seq), []).append(row)
        except duckdb.Error as error:  # what is not known to be there must not be stored twice for that
            raise OSError(f"the lake cannot be asked what it has: {error}") from error
        return found

    def _opened(self) -> Lake | None:
        if self._lake is None:
            from rugs_lake.read.reader import Lake

            try:
                self._lake = Lake(self._root)
            except LakeAbsentError:  # nothing is known
                return None
            keep_small(self._lake)
        return self._lake


class _Checker:
    """Says whether a line is what the stored event gives. It goes through a file from its first line on."""

    def __init__(self, manifest: Manifest) -> None:
        self._format = manifest.format
        try:
            own = zone(manifest.timezone)
        except ValueError:
            own = zone("UTC")
        self._teller = Teller(own, everything=manifest.format == Format.CLAUDE_FLOW)
        self._games = GameTeller(own)

    def is_known(self, envelope: Envelope, claim: Claim, stored: Iterable[Stored], number: int) -> bool:
        line = _bytes(envelope["raw"])
        if claim.is_raw:
            told_id = ids.event_id(claim.source, claim.session_id, claim.seq, line)
            return any(row.id == told_id for row in stored)
        return any(self._gives(row, line, number) for row in stored)

    def _gives(self, row: Stored, line: bytes, number: int) -> bool:
        if self._format != Format.GAME:
            return self._teller.tell(row, number) == line
        if row.game_id is None:
            return False
        if line.startswith(b'{"type": "game_start"'):
            return self._games.start(row) == line
        if line.startswith(b'{"type": "game_end"'):
            return self._games.end(row) == line
        return self._games.is_tick(row, line)


def _with_claims(envelopes: Iterable[Envelope], claims: Claims) -> Iterator[_Told]:
    """Give envelopes with what the manifest claims of their lines; what was salvaged out of a line, its place there."""
    number, seq = 0, 0
    claim: Claim | None = None
    for envelope in envelopes:
        own = envelope["origin"].get("line", 0)
        if own != number:
            number, seq = own, envelope["seq"]
            claim = claims.of(number, len(_bytes(envelope["raw"])))
            yield _Told(envelope, claim, number)
        elif claim is None or not claim.is_raw or "cause" in envelope:
            yield _Told(envelope, None, number)
        else:
            yield _Told(envelope, claim.further(envelope["seq"] - seq), number)


def _pieces(told: Iterable[_Told]) -> Iterator[list[_Told]]:
    piece: list[_Told] = []
    size = 0
    for one in told:
        # What was salvaged out of a line stays with it.
        if piece and one.number != piece[-1].number and (len(piece) >= _AT_ONCE or size >= _BYTES_AT_ONCE):
            yield piece
            piece, size = [], 0
        piece.append(one)
        size += len(one.envelope.get("raw") or "")
    if piece:
        yield piece


def _wants_look_up(one: _Told) -> bool:
    """Whether it takes the lake to say; what nothing is derived from is sent, and the writer knows it by its id."""
    if one.claim is None:
        return False
    return not one.claim.is_raw or one.envelope["doc_type"] in ("ws_event", "reject")


def _with_identity(envelope: Envelope, claim: Claim | None) -> Envelope:
    """Return the envelope with the place that it is claimed to have, where that is an imported line's."""
    if claim is None or not claim.is_raw or claim.source != SOURCE or claim.seq > MAX_SEQ:
        return envelope
    return {**envelope, "session_id": claim.session_id, "seq": claim.seq}


def _place(claim: Claim) -> _Place:
    return claim.source, claim.session_id, claim.seq


def _bytes(raw: Any) -> bytes:
    return raw.encode() if isinstance(raw, str) else bytes(raw or b"")
