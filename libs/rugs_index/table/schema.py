"""The columns of the table."""

from __future__ import annotations

import json
from typing import Final

import pyarrow as pa

from rugs_index.table.identity import IndexIdentity

KEY: Final = "key"
"""Names a row for as long as it is in the table; means nothing. Chunks of a scope that go give theirs to new ones."""
CONTENT: Final = "content"
"""Digest of what a row holds: see `rugs_index.table.row`."""
VECTOR: Final = "vector"
SEARCHED: Final = "search_text"
"""What full-text search finds a row by: its text, the words inside identifiers, and words that are not shown."""
SKIPPED: Final = "skipped"
"""Why a row has no vector though there is a model; null where it has one."""
IS_HOLE: Final = f"{VECTOR} IS NULL AND {SKIPPED} IS NULL"
"""The condition of rows that have no vector for no known reason. There are none."""
PUBLIC: Final = ""
"""The owner of rows that everyone may see."""

TEXTS: Final = ("kind", "doc_type", "event_type", "field_path", "game_id", "session_id", "player", "username", "source")
"""Columns with texts of the metadata, by the same names."""
NUMBERS: Final = ("ticks", "peak", "rug_tick", "duration_s")
"""Columns with numbers of a game's metadata, by the same names."""
STARTS: Final = "ts"
ENDS: Final = "ts_end"
"""The time that a chunk is about, from and until; both the same for a moment."""

_MOMENT: Final = pa.timestamp("us", tz="UTC")
_METADATA: Final = b"rugs.index"


def table_schema(identity: IndexIdentity) -> pa.Schema:
    """Return the columns of a table, and its identity as their metadata. Without a model there is no vector."""
    fields = [
        pa.field(KEY, pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("scope_key", pa.string(), nullable=False),
        pa.field("owner", pa.string(), nullable=False),
        pa.field(CONTENT, pa.binary(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field(SEARCHED, pa.string(), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
        *(pa.field(name, pa.string()) for name in (*TEXTS, SKIPPED)),
        *(pa.field(name, _MOMENT) for name in (STARTS, ENDS)),
        *(pa.field(name, pa.float64()) for name in NUMBERS),
    ]
    if identity.dimension is not None:
        fields.append(pa.field(VECTOR, pa.list_(pa.float32(), identity.dimension)))
    return pa.schema(fields, metadata={_METADATA: identity.as_json().encode()})


def identity_of(schema: pa.Schema) -> IndexIdentity:
    """Return the identity in the metadata of a table's columns.

    Raises:
        ValueError, LookupError, TypeError: if there is none.
    """
    return IndexIdentity.from_dict(json.loads((schema.metadata or {})[_METADATA]))
