"""Reading the lake: SQL over one pinned snapshot.

`Lake` asks the catalog for the files of one snapshot and makes DuckDB views over
exactly these, so no query ever sees half a commit, or a file before and after its
compaction at once. The catalog is not held open: the writer and compaction go on, and
replaced files stay on disk for a retention that outlasts readers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

import duckdb
import pyarrow as pa

from rugs_lake.errors import LakeUnavailableError
from rugs_lake.read import leases
from rugs_lake.read import sandbox as sandboxing
from rugs_lake.read.admission import Admitted, admit
from rugs_lake.read.files import check_versions, explain_missing, live_files_at, pin
from rugs_lake.read.pruning import ALL, Conditions
from rugs_lake.read.views import views
from rugs_lake.store.catalog import Catalog, reading_catalog
from rugs_lake.store.owners import literal, owner_sql
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.positions import cursors_at, position_at
from rugs_lake.store.schema import COLUMNS, Column, columns_of
from rugs_proto.domains import doc_types
from rugs_proto.subjects import EVENTS_STREAM

_P = ParamSpec("_P")
_T = TypeVar("_T")
_HEX: Final = ("id", "cause")
_RESERVED: Final = ("events", "gap", "_gap")
"""Names of our own, beside `views()`: an event may have the doc type `events`, and gets no view of its own then."""


def _explained(method: Callable[Concatenate[Lake, _P], _T]) -> Callable[Concatenate[Lake, _P], _T]:
    """Have a method say why files are gone, where a query fails because they are."""

    @wraps(method)
    def explained(self: Lake, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(self, *args, **kwargs)
        except duckdb.IOException as error:
            raise self.explain(error) from error

    return explained


class Lake:
    """One snapshot of the lake, as DuckDB views.

    Views: `events` (everything but rejects), `reject`, and one for each doc type, the
    known ones even while empty. `id` and `cause` are hex text there. The views of
    `rugs_lake.read.views` and of the domains are made of these.

    Attributes:
        connection: the DuckDB connection; give each thread its own `connection.cursor()`.
        root: the data root.
        snapshot: number of the pinned snapshot.
        cursors: (stream, incarnation, last sequence) that the snapshot had come to;
            with the number, the version of the data set that an answer cites.
        position: the same as a follower of `RUGS_EVENTS` counts it, with the number of the last change.
        views: names of the views.
        files: those of the snapshot's files that the views read: paths, each with its `doc_type`, `date`, `rows`
            and `bytes`.
    """

    def __init__(
        self,
        root: Path,
        *,
        at_snapshot: int | None = None,
        at_time: dt.datetime | None = None,
        sandbox: bool = False,
        asked: Conditions = ALL,
    ) -> None:
        asked.check()
        paths = LakePaths(root)
        with reading_catalog(root) as catalog, catalog.reading():
            self.snapshot = pin(catalog, at_snapshot, at_time)
            self.files = live_files_at(catalog, self.snapshot, asked)
            self.cursors = cursors_at(catalog, self.snapshot)
            self.position = position_at(catalog, self.snapshot, EVENTS_STREAM)
            check_versions(catalog, self.snapshot, self.files)
            self._add_tables = _catalog_tables(catalog)
        self.root = root
        self.connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
        self.views: list[str] = []
        self._paths = paths
        self._sandbox = False
        try:
            self.connection.execute("SET TimeZone = 'UTC'")
            self._make_views()
            if sandbox:
                self.close_in()
        except duckdb.Error as error:
            self.connection.close()
            reason = str(error).partition("\n\nLINE")[0]  # without the statement
            raise LakeUnavailableError(f"cannot open the lake's files: {reason}; see `rugs verify`") from error

    def _make_views(self) -> None:
        by_type: dict[str, dict[str, list[str]]] = {name: {} for name in doc_types()}
        for file in self.files:
            by_type.setdefault(file.doc_type, {}).setdefault(file.schema_version, []).append(file)
        made = views()
        everything: dict[str, list[str]] = {}
        for doc_type, versions in by_type.items():
            if doc_type not in _RESERVED and doc_type not in made:
                self._make_view(doc_type, versions)
            if doc_type != "reject":
                for version, names in versions.items():
                    everything.setdefault(version, []).extend(names)
        self._make_view("events", everything)
        for name, table in self._add_tables.items():
            self.connection.register(f"_{name}", table)
            self._create_view(name, f'SELECT * FROM "_{name}"')  # noqa: S608 - our own names
        for name, query in made.items():
            self._create_view(name, query)

    def _make_view(self, name: str, versions: dict[str, list[str]]) -> None:
        """Make a view over files; those of one schema version are alike, so no file is opened to find out."""
        parts = [_select(version, names) for version, names in versions.items()] or [_select_nothing()]
        self._create_view(name, " UNION ALL ".join(parts))

    def _create_view(self, name: str, query: str) -> None:
        self.connection.execute(f"CREATE VIEW {_identifier(name)} AS {query}")
        self.views.append(name)

    def admit(self, query: str, *, files: bool = False) -> Admitted:
        """Return a query as it may run in the sandbox; with `files` it may read files of the user's own.

        Raises:
            RefusedError: saying what of it is not admitted.
            duckdb.Error: if it is no SQL.
        """
        return admit(query, self.views, files=files)

    def close_in(self, files: Sequence[str] = ()) -> None:
        """From now on, run only admitted queries, which read the lake and these files and nothing else.

        Raises:
            RefusedError: if one of the files lies below the data root, or is not there.
        """
        sandboxing.close_in(self.connection, self._paths, files)
        self._sandbox = True

    @contextmanager
    def hold(self, duration: float | dt.timedelta) -> Iterator[leases.Lease]:
        """Keep this snapshot and its files while the body runs, for `duration` (seconds) at the most.

        Raises:
            LakeError: if the snapshot has expired already, or the lake cannot be written.
        """
        seconds = duration.total_seconds() if isinstance(duration, dt.timedelta) else duration
        lease = leases.hold(self.root, self.snapshot, seconds)
        try:
            yield lease
        finally:
            leases.release(self.root, lease.lease_id)

    def explain(self, error: Exception) -> Exception:
        """Return what to raise where reading failed: why its files are gone, if they are, else the error itself."""
        return explain_missing(self.snapshot, self.files) or error

    @_explained
    def sql(self, query: str, parameters: Sequence[Any] | dict[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run a query; return the connection, to fetch from.

        Raises:
            duckdb.Error: if the query is wrong.
            RefusedError: if the sandbox does not admit it.
        """
        return self.connection.execute(self._checked(query), parameters)

    @_explained
    def arrow(self, query: str, parameters: Sequence[Any] | dict[str, Any] | None = None) -> pa.Table:
        """Run a query as `sql` does; return its rows as an Arrow table."""
        return self.connection.sql(self._checked(query), params=parameters).to_arrow_table()

    def received(self, doc_type: str, source: str, session_id: str, seq: int, event_id: str) -> str | bytes | None:
        """Return the bytes of one event, as text where they are; None if the snapshot has none."""
        view = _identifier(doc_type)
        query = f"SELECT raw, raw_bin FROM {view} WHERE source = ? AND session_id = ? AND seq = ? AND id = ?"  # noqa: S608
        row = self.sql(query, [source, session_id, seq, event_id]).fetchone()
        if row is None:
            return None
        received: str | bytes | None = row[1] if row[0] is None else row[0]
        return received

    def _checked(self, query: str) -> str:
        """In the sandbox, admit a query: DuckDB's own settings still let COPY write inside an allowed folder."""
        return self.admit(query).text if self._sandbox else query

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def _catalog_tables(catalog: Catalog) -> dict[str, pa.Table]:
    """Return what the catalog knows and a user may ask for: snapshots and gaps."""
    gaps = catalog.all("SELECT stream, incarnation, first_seq, last_seq, reason, noted_us FROM rugs_gap")
    types = (pa.string(), pa.string(), pa.int64(), pa.int64(), pa.string(), pa.timestamp("us", "UTC"))
    names = ("stream", "incarnation", "first_seq", "last_seq", "reason", "noted")
    columns = [pa.array([row[place] for row in gaps], type_) for place, type_ in enumerate(types)]
    return {"gap": pa.table(columns, names=names)}


def _select(version: str, files: Sequence[str]) -> str:
    there = {column.name for column in columns_of(version)}
    columns = [
        _expression(column.name) if column.name in there else f"{_absent(column)} AS {column.name}"
        for column in COLUMNS
    ]
    # The partition columns come from the path: a filter on them leaves other files unopened.
    return (
        f"SELECT {', '.join(columns)} FROM read_parquet([{', '.join(map(literal, files))}],"  # noqa: S608 - quoted literals
        " hive_partitioning = true, hive_types = {'doc_type': VARCHAR, 'date': DATE})"
    )


def _absent(column: Column) -> str:
    """Return what stands for a column that files of an older version lack: an owner by the rule, else null."""
    return owner_sql() if column.name == "owner" else f"NULL::{column.duckdb}"


def _expression(name: str) -> str:
    if name in _HEX:
        return f"lower(hex({name})) AS {name}"
    if name == "origin_offset":
        told = "source = 'import' AND origin_line IS NOT NULL"
        return f"coalesce(origin_offset, CASE WHEN {told} THEN seq - 1 END) AS origin_offset"
    return name


def _select_nothing() -> str:
    columns = [f"NULL::{'VARCHAR' if c.name in _HEX else c.duckdb} AS {c.name}" for c in COLUMNS]
    return f"SELECT {', '.join(columns)} WHERE false"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
