"""A lake as an older or newer version of the program would write it: two columns are taken away, or came later.

``python -m tests.support.lakeschema older ROOT`` writes a lake whose schema has no `username` and no
`amount`; ``newer`` goes on with it as a program that has since got them, and checks the rows. ``first ROOT`` is the
program of schema version 1.0.0, which knows no owners: it stores the envelopes on standard input (an array, msgpack).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgpack
import pyarrow as pa

from rugs_lake.store import schema

LATER: Final = ("username", "amount")
QUERY: Final = "SELECT seq, price, amount, username, extra FROM events ORDER BY 1"


def pretend(program: str) -> None:
    """Become an older or a newer program."""
    if program == "first":
        become("1.0.0", [column for column in schema.COLUMNS if column.since == "1.0.0"])
    elif program == "older":
        columns = [column for column in schema.COLUMNS if column.name not in LATER]
        schema.FIELD_COLUMNS.pop("amount")
        become(schema.SCHEMA_VERSION, columns)
    else:
        become("1.1.0", [replace(c, since="1.1.0") if c.name in LATER else c for c in schema.COLUMNS])


def become(version: str, columns: Sequence[schema.Column]) -> None:
    """Change the schema, and have all else imported anew with it."""
    for name, value in {
        "SCHEMA_VERSION": version,
        "COLUMNS": tuple(columns),
        "BY_NAME": {column.name: column for column in columns},
        "ARROW_SCHEMA": pa.schema([column.field for column in columns]),
    }.items():
        setattr(schema, name, value)
    for name in [name for name in sys.modules if name.startswith(("rugs_lake", "tests.support.lakekit"))]:
        if name != schema.__name__:
            del sys.modules[name]


def main() -> None:
    """Write as one of the programs."""
    program, root = sys.argv[1], Path(sys.argv[2])
    pretend(program)
    from rugs_lake.maintain.compaction import compact
    from rugs_lake.store.catalog import Catalog
    from rugs_lake.store.paths import LakePaths
    from tests.support import lakekit
    from tests.support.lakekit import envelope, message

    if program == "first":
        told = msgpack.unpackb(sys.stdin.buffer.read())
        lakekit.store(root, *(message(seq, each) for seq, each in enumerate(told, start=1)))
        with Catalog(LakePaths(root)) as catalog:
            catalog.connection.execute("DROP TABLE rugs_session_owner")
        return
    first = message(1, envelope(1, fields={"price": 1.5, "amount": 2.0}))
    if program == "older":
        lakekit.store(root, first)
        return
    writer = lakekit.open_writer(root, at_cursor=first)
    lakekit.commit(writer, message(2, envelope(2, username="new", fields={"price": 2.5, "amount": 3.0})))
    writer.close()
    expected = [(1, 1.5, None, None, '{"amount":2.0}'), (2, 2.5, 3.0, "new", None)]
    assert lakekit.select(root, QUERY) == expected, lakekit.select(root, QUERY)
    lakekit.checked(root)
    with Catalog(LakePaths(root)) as catalog:
        assert compact(catalog).files_after == 1
    assert lakekit.select(root, QUERY) == expected, lakekit.select(root, QUERY)
    lakekit.checked(root)


if __name__ == "__main__":
    main()
