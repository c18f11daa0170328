"""A chunk for one received or sent event: of a record of a recording, or of a row of the lake. Pure.

Both ways give the same text, and so the same id, for the same record: an imported row keeps the line that it was made
of in `raw`. Of a row that was captured live, the record is what `rugs export` writes: its time is in UTC, its `seq`
that of the session. A row that was read out of a document has no bytes of its own: give it those of its element (see
`rugs_discovery.messages.elements_of`), or its text says only what its columns say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from rugs_core.time import from_us
from rugs_index import contract, event_text
from rugs_index.chunk import Chunk
from rugs_index.event import event_of
from rugs_index.identifiers import forms
from rugs_index.recording import Record, record_of, told_record

if TYPE_CHECKING:
    from rugs_index.rows import StoredRow

_COLUMNS: Final = (
    "price",
    "tick",
    "phase",
    "rugged",
    "cooldown_timer",
    "trade_count",
    "cash",
    "position_qty",
    "amount",
)
"""Columns that stand for the payload where nothing was received."""


class Profile(StrEnum):
    """How the texts of events are written.

    `claude_flow_v1` is the retrieval contract, byte for byte; `rugbus` writes only what is there, for a person's words.
    """

    CLAUDE_FLOW_V1 = "claude_flow_v1"
    RUGBUS = "rugbus"


def chunk_of_record(
    record: Mapping[str, Any],
    source: str,
    profile: Profile = Profile.RUGBUS,
    *,
    line: int | None = None,
    scope_key: str = "",
    owner: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> Chunk:
    """Return the chunk of a record.

    Args:
        record: `event`, `ts`, `seq` and `data`, or what another recorder wrote.
        source: the base name of the recording.
        line: of the record in it, from 1; None where that is not known.
        more: metadata beside those of the contract.
    """
    if profile is Profile.CLAUDE_FLOW_V1:
        text, metadata = contract.text_of(record), contract.metadata_of(record, source, line)
    else:
        event = event_of(record)
        text = event_text.text_of(event)
        known = {"event": event.name, "ts": event.time, "seq": event.seq, "data": {"gameId": event.game_id}}
        metadata = contract.metadata_of(known, source, line)
    return Chunk(text, {**metadata, **(more or {})}, scope_key, owner, forms(metadata["event_type"]))


def chunk_of_row(row: StoredRow, profile: Profile = Profile.RUGBUS, *, scope_key: str = "") -> Chunk:
    """Return the chunk of a row of the lake.

    Args:
        row: with `raw`.
        scope_key: of the scope that the row belongs to: see `rugs_index.scopes`.
    """
    provenance = {
        "ts": row.ts,
        "event_id": row.id,
        "session_id": row.session_id,
        **({} if row.game_id is None else {"game_id": row.game_id}),
        **({} if row.player_id is None else {"player": row.player_id}),
        **({} if row.username is None else {"username": row.username}),
    }
    return chunk_of_record(
        record_of_row(row),
        row.chunk_source(contract.KIND),
        profile,
        line=row.origin_line,
        scope_key=scope_key,
        owner=row.owner,
        more=provenance,
    )


def record_of_row(row: StoredRow) -> Record:
    """Return the record of a row: the line that it was imported from, or what an old recorder would have written."""
    stored = {"event": row.event, "ts": from_us(row.ts).isoformat(), "seq": row.seq, "direction": row.direction}
    if row.raw is None:
        fields = {name: value for name in _COLUMNS if (value := getattr(row, name)) is not None}
        data = {**({} if row.game_id is None else {"gameId": row.game_id}), **fields, **row.extras}
        return {**stored, "data": data or None}
    if row.origin_file is not None:
        try:
            return record_of(row.raw)
        except ValueError:
            pass  # bytes that are no text, such as an attachment
    return told_record(row.raw, stored)


def content_key(row: StoredRow) -> bytes:
    """Return a digest that is equal for rows that say the same, whoever received them, and when: name and payload.

    Events without a payload, or whose payload is lost, say the same if they have one name.
    """
    event = event_of(record_of_row(row))
    try:
        content = json.dumps([event.name, event.is_lost, event.payload], sort_keys=True)
    except (ValueError, RecursionError):  # nested too deeply to be written
        content = row.id
    return blake2b(content.encode(), digest_size=16).digest()
