"""Ask a lake through DuckDB's own DuckLake extension. Runs in an environment of its own: see `test_lake_ducklake`.

Standard input: {"catalog": path, "options": "READ_ONLY, ...", "queries": [sql, ...]}.
Standard output: a JSON list; for each query {"rows": [[text or null, ...], ...]} or {"error": text}.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb


def extension(package: str) -> str:
    """Return the path of the extension that a package carries."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return str(next(Path(spec.origin).parent.rglob("*.duckdb_extension")))


def ask(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    """Run one query; every value as text."""
    try:
        rows = connection.execute(query).fetchall()
    except duckdb.Error as error:
        return {"error": str(error)}
    return {"rows": [[None if value is None else str(value) for value in row] for row in rows]}


def main() -> None:
    """Answer what standard input asks."""
    asked = json.load(sys.stdin)
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true", "autoinstall_known_extensions": "false"})
    for package in ("duckdb_extension_sqlite_scanner", "duckdb_extension_ducklake"):
        connection.execute(f"LOAD '{extension(package)}'")
    connection.execute("SET TimeZone = 'UTC'")
    path = asked["catalog"].replace("'", "''")
    attached = ask(connection, f"ATTACH 'ducklake:sqlite:{path}' AS lake ({asked['options']})")
    if "error" in attached:
        json.dump([attached] * len(asked["queries"]), sys.stdout)
        return
    json.dump([ask(connection, query) for query in asked["queries"]], sys.stdout)


if __name__ == "__main__":
    main()
