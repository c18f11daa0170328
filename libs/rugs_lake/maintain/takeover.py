"""Lakes from before `rugs_lake.store.derived_ids`: the ids that they know by their cause become entries.

Such a lake has a row in `rugs_scope` for each derived event without a natural key. A file
after the other, entries are made from its rows, and its rows there deleted. Until a file is
done, its ids are looked up as before; what a killed process began, the next begins again.
"""

from __future__ import annotations

import datetime as dt

from rugs_core.time import EPOCH_DAY
from rugs_lake.store import derived_ids, parquet
from rugs_lake.store.catalog import Catalog, has_table
from rugs_lake.store.parquet import TornFileError
from rugs_lake.store.rows import cause_scope
from rugs_proto.domains import NATURAL

_FILE = (
    "SELECT f.path, t.partition_value, d.partition_value FROM ducklake_data_file f"
    " JOIN ducklake_file_partition_value t ON t.data_file_id = f.data_file_id AND t.partition_key_index = 0"
    " JOIN ducklake_file_partition_value d ON d.data_file_id = f.data_file_id AND d.partition_key_index = 1"
    " WHERE f.data_file_id = ? AND f.end_snapshot IS NULL"
)


def take_over(catalog: Catalog) -> None:
    """Make entries of the derived ids of all files from before; one that is damaged or gone is left as it is."""
    if not has_table(catalog.connection, "rugs_id_untaken"):
        return
    for file_id in derived_ids.untaken(catalog.connection):
        found = catalog.one(_FILE, file_id)
        try:
            if found is not None:
                _take_over(catalog, file_id, *found)
        except (TornFileError, FileNotFoundError):
            continue
        with catalog.transaction() as connection:
            connection.execute("DELETE FROM rugs_id_untaken WHERE data_file_id = ?", (file_id,))
        derived_ids.pack(catalog, all_entries=False)


def _take_over(catalog: Catalog, file_id: int, path: str, doc_type: str, date: str) -> None:
    day = (dt.date.fromisoformat(date) - EPOCH_DAY).days
    table = parquet.read(catalog.paths.data / path, columns=["id", "cause", "game_id"])
    rows = zip(*(table[name].to_pylist() for name in ("id", "cause", "game_id")), strict=True)
    derived = [
        (digest, cause)
        for digest, cause, game_id in rows
        if cause is not None and (game_id is None or doc_type not in NATURAL)
    ]
    derived_ids.add_ahead(catalog, sorted(derived_ids.entry_of(digest, day) for digest, _ in derived))
    scopes = sorted({cause_scope(cause.hex()) for _, cause in derived})
    for start in range(0, len(scopes), derived_ids.SLICE):
        with catalog.transaction() as connection:
            connection.executemany(
                "DELETE FROM rugs_scope WHERE scope = ? AND data_file_id = ?",
                [(scope, file_id) for scope in scopes[start : start + derived_ids.SLICE]],
            )
