"""An id once, for ever: which of a batch's ids the lake already has.

An id can come twice only within its scope (a session, or a game for what has a natural key),
and the catalog knows which files hold which positions of a scope. Ids that are made of a cause
or of a key have no scope: the catalog knows on which days they could be. So only files
that may hold them are read, and of those the id column alone; most batches need none. Memory
is bounded by the batch: the ids of a file stream through a look-up in the batch's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rugs_lake.store import derived_ids, parquet
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.parquet import TornFileError
from rugs_lake.store.paths import partition_folder
from rugs_lake.store.rows import Row, cause_scope

_OVERLAPPING = (
    "SELECT data_file_id, path FROM rugs_scope JOIN ducklake_data_file USING (data_file_id)"
    " WHERE scope = ? AND first_pos <= ? AND last_pos >= ? AND end_snapshot IS NULL"
)


def spans(rows: Iterable[Row]) -> list[tuple[bytes, int, int]]:
    """Return for each scope the first and last position that the rows have there."""
    found: dict[bytes, list[int]] = {}
    for row in rows:
        place = row.scope
        if place is None:
            continue
        scope, position = place
        ends = found.get(scope)
        if ends is None:
            found[scope] = [position, position]
        elif position > ends[1]:
            ends[1] = position
        elif position < ends[0]:
            ends[0] = position
    return [(scope, first, last) for scope, (first, last) in found.items()]


def known_ids(catalog: Catalog, rows: Sequence[Row]) -> set[bytes]:
    """Return those of the rows' ids that live files of the lake hold already.

    Raises:
        TornFileError: if a file that must be looked into cannot be read. Nothing can be taken
            until it is put back, or given up with `verify(repair=True)`.
    """
    by_entry = [row for row in rows if row.is_known_by_entry]
    known = _known(catalog, _in_scopes(catalog, rows))
    if by_entry:
        if derived_ids.untaken(catalog.connection):
            known |= _known(catalog, _in_causes(catalog, by_entry))
        known |= _known(catalog, _on_days(catalog, by_entry))
    return known


def _known(catalog: Catalog, candidates: Mapping[str, set[bytes]]) -> set[bytes]:
    """Return those ids that a file holds which may hold them."""
    known: set[bytes] = set()
    for path, digests in candidates.items():
        if missing := digests - known:
            ids = _read(catalog, path, ["id"])["id"]
            known.update(ids.filter(pc.is_in(ids, value_set=pa.array(list(missing), ids.type))).to_pylist())
    return known


def _in_scopes(catalog: Catalog, rows: Sequence[Row]) -> dict[str, set[bytes]]:
    """Return the files that hold the rows' places in their scopes, each with the ids to look for."""
    candidates: dict[str, set[bytes]] = {}
    by_scope: dict[bytes, set[bytes]] | None = None
    for scope, first, last in spans(rows):
        for _, path in catalog.connection.execute(_OVERLAPPING, (scope, last, first)):
            if by_scope is None:
                by_scope = _by_scope(rows)
            candidates.setdefault(path, set()).update(by_scope[scope])
    return candidates


def _in_causes(catalog: Catalog, rows: Sequence[Row]) -> dict[str, set[bytes]]:
    """Return the files from before `derived_ids` that hold the rows' causes, each with the ids to look for."""
    candidates: dict[str, set[bytes]] = {}
    for row in rows:
        if row.event.envelope.cause is None:
            continue
        scope = cause_scope(row.event.envelope.cause)
        for _, path in catalog.connection.execute(_OVERLAPPING, (scope, 0, 0)):
            candidates.setdefault(path, set()).add(row.event.digest)
    return candidates


def _on_days(catalog: Catalog, rows: Sequence[Row]) -> dict[str, set[bytes]]:
    """Return the files of the days on which the rows' ids could be, the latest first, each with the ids to look for."""
    days = derived_ids.days_of(catalog.connection, {row.event.digest for row in rows})
    wanted: dict[str, set[bytes]] = {}
    for row in rows:
        for day in days.get(row.event.digest, ()):
            wanted.setdefault(partition_folder(row.event.envelope.doc_type, day), set()).add(row.event.digest)
    if not wanted:
        return {}
    live = catalog.all("SELECT path FROM ducklake_data_file WHERE end_snapshot IS NULL ORDER BY data_file_id DESC")
    return {path: wanted[folder] for (path,) in live if (folder := path.rpartition("/")[0]) in wanted}


def known_rows(catalog: Catalog, rows: Sequence[Row], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Give `id` and these columns of each live row that has the id of one of the rows, all known by their entries.

    Raises:
        TornFileError: as `known_ids` does.
    """
    for path, digests in _on_days(catalog, rows).items():
        table = _read(catalog, path, ["id", *columns])
        wanted = pa.array(list(digests), table["id"].type)
        yield from table.filter(pc.is_in(table["id"], value_set=wanted)).to_pylist()


def _read(catalog: Catalog, path: str, columns: list[str]) -> pa.Table:
    file = catalog.paths.data / path
    try:
        return parquet.read(file, columns)
    except FileNotFoundError:
        reason = f"{file} is gone"
    except TornFileError as error:
        reason = str(error)
    raise TornFileError(
        f"{reason}: ids must be looked up in it. Put it back, or give its rows up with `rugs verify --repair`"
    )


def _by_scope(rows: Sequence[Row]) -> dict[bytes, set[bytes]]:
    grouped: dict[bytes, set[bytes]] = {}
    for row in rows:
        if (place := row.scope) is not None:
            grouped.setdefault(place[0], set()).add(row.event.digest)
    return grouped
