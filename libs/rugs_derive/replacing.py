"""Correcting what was extracted or derived wrong, under the same ids.

The typed fields of a stored frame are a function of its bytes, and derived events are a function of stored frames. When
the rules have changed, `correct_extracts` reads the frames of some days again; what is derived from them goes through
`rugs_lake.maintain.corrections`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

import orjson
import pyarrow as pa

from rugs_feed import frames
from rugs_feed.extract import TARGETS
from rugs_feed.normalise import normalise_frame
from rugs_lake.maintain.change import Changed, change
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.schema import ARROW_SCHEMA, FIELD_COLUMNS
from rugs_lake.store.table import field_columns

EXTRACTS: Final = "extracts"
DERIVED: Final = "derived"
"""Kinds of changes."""

_KEYS: Final = ("game_id", "player_id", "username")
_OF_FRAMES: Final = frozenset({*TARGETS, "packet", "ack_id", "namespace", "attachments", "reason"})
"""What `normalise_frame` puts into `fields`; other keys are the sender's own."""


def days(first: dt.date | None, last: dt.date | None) -> tuple[dt.date | None, dt.date | None] | None:
    """Return the dates of a scope."""
    return None if first is None and last is None else (first, last)


def correct_extracts(
    catalog: Catalog,
    first: dt.date | None,
    last: dt.date | None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Changed:
    """Extract the typed fields of the stored frames of some days (UTC, both included) again.

    Imported frames are left to `rugs import --replace`, whose readers know their files.

    Raises:
        LakeError: if the lake cannot be written, or a file of it is damaged; nothing was changed.
    """
    scope = ChangeScope(doc_type="ws_event", dates=days(first, last), imported=False)
    return change(catalog, EXTRACTS, scope, extracted_again, progress=progress)


def extracted_again(table: pa.Table) -> pa.Table:
    """Return rows of `ws_event` with the fields that today's rules extract from their bytes."""
    names = ["raw", "cause", *_KEYS, *FIELD_COLUMNS, "extra"]
    wrong: list[bool] = []
    right: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for row in table.select(names).to_pylist():
        corrected = None if row["cause"] is not None else _corrected(row)
        wrong.append(corrected is not None)
        if corrected is not None:
            right.append(corrected)
    if not right:
        return table
    mask = pa.array(wrong)
    hit = table.filter(mask)
    columns: dict[str, Any] = {name: pa.array([keys[name] for keys, _ in right], pa.string()) for name in _KEYS}
    columns |= field_columns([fields for _, fields in right])
    new = pa.table([columns.get(name, hit[name]) for name in ARROW_SCHEMA.names], schema=ARROW_SCHEMA)
    kept = table.filter(pa.array([not each for each in wrong]))
    return pa.concat_tables([kept, new])


def _corrected(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return keys and fields of a frame as they should be; None where they are, and for what is no frame."""
    raw = row["raw"]
    if raw is None or raw.lstrip().startswith("{"):
        return None
    said = normalise_frame(frames.decode(raw))
    old = {name: row[name] for name in FIELD_COLUMNS if row[name] is not None}
    old |= orjson.loads(row["extra"]) if row["extra"] else {}
    fields = {**{key: value for key, value in old.items() if key not in _OF_FRAMES}, **said.fields}
    keys = {"game_id": said.game_id, "player_id": said.player_id, "username": said.username}
    if fields == old and all(row[name] == value for name, value in keys.items()):
        return None
    return keys, fields
