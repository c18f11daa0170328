"""The program of the next major schema version, made of this one by changing its schema.

``python -m tests.support.lakenext COMMAND …``. The next version gives `phase_read`, until now among the `extra` ones,
a column of its own, and makes `v` an int64. Commands: ``rugs ARGUMENTS`` is the command line;
``write ROOT FIRST LAST [LIKE]`` commits messages; ``refusals ROOT`` tries migrations that have a mistake.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from rugs_lake.store.schema import COLUMNS, FIELD_COLUMNS, Column
from rugs_proto.message import Message
from tests.support import lakekit, lakeschema
from tests.support.lakekit import DAY_US, NOON_US, envelope, tick

NEXT: Final = "2.0.0"
CHANGES: Final = frozenset({"v", "extra"})


def told(seq: int, like: int | None = None) -> Message:
    """Return the stream's message of a sequence, or one that tells again what another told."""
    return lakekit.message(seq, *events(like or seq))


def events(seq: int) -> list[dict[str, Any]]:
    """Return what a message tells of: ticks, or events of two days, one of them binary and one broken."""
    fields = {"price": 1.5, "phase": "A", "phase_read": f"PHASE-{seq % 3}", "odd": seq}
    if seq % 2 == 0:
        return [tick(seq, f"game-{n}", fields={**fields, "tick": seq}) for n in range(3)]
    return [
        envelope(seq * 10, fields=fields, ts=NOON_US - DAY_US),
        envelope(seq * 10 + 1, fields={"odd": [seq]}),
        envelope(seq * 10 + 2, raw=bytes([0xFF, seq % 256])),
        envelope(seq * 10 + 3, v=9),
    ]


def lift(table: pa.Table) -> pa.Table:
    """The way that is right."""
    extras = [json.loads(text) if text else {} for text in table["extra"].to_pylist()]
    lifted = [extra.pop("phase_read", None) for extra in extras]
    others = [json.dumps(extra, separators=(",", ":")) if extra else None for extra in extras]
    place = table.column_names.index("extra")
    return table.set_column(place, "extra", pa.array(others)).append_column("phase_read", pa.array(lifted))


def _changed(table: pa.Table, name: str, values: Any) -> pa.Table:
    return lift(table).set_column(table.column_names.index(name), name, values)


WAYS: Final[dict[str, Callable[[pa.Table], pa.Table]]] = {
    "good": lift,
    "lossy": lambda table: lift(table).slice(1),
    "price": lambda table: _changed(table, "price", pc.add(table["price"], 1.0)),
    "dropped": lambda table: lift(table).drop_columns(["phase"]),
    "shuffled": lambda table: lift(table).take(pa.array(range(table.num_rows))[::-1]),
    "bytes": lambda table: _changed(table, "raw", pc.utf8_upper(table["raw"])),
    "misfit": lambda table: _changed(table, "v", pa.array(["?"] * table.num_rows)),
}
"""What a migration does, right and wrong."""


def pretend() -> None:
    """Become the next program."""
    columns = [each if each.name != "v" else replace(each, arrow=pa.int64(), ducklake="int64") for each in COLUMNS]
    columns.append(Column(len(columns) + 1, "phase_read", pa.string(), "varchar", since=NEXT))
    FIELD_COLUMNS["phase_read"] = (pa.string(), "varchar")
    lakeschema.become(NEXT, columns)
    from rugs_lake.maintain.migration import MIGRATIONS, Migration

    MIGRATIONS[1] = Migration(lift, CHANGES)


def write(root: Path, first: int, last: int, like: int | None = None) -> None:
    """Commit messages of the stream, one a commit; print what the last one counted."""
    kit = importlib.import_module("tests.support.lakekit")  # as imported above, it would be this program's
    writer = kit.open_writer(root, at_cursor=told(first - 1))
    for seq in range(first, last + 1):
        done = kit.commit(writer, told(seq, like))
    writer.close()
    print(json.dumps(done.totals))


def refusals(root: Path) -> None:
    """Try every way that is wrong; print why each is refused."""
    from rugs_lake.errors import LakeError
    from rugs_lake.maintain import migration
    from rugs_lake.store.catalog import Catalog
    from rugs_lake.store.paths import LakePaths

    refused = {}
    for name, way in WAYS.items():
        if name != "good":
            migration.MIGRATIONS[1] = migration.Migration(way, CHANGES | {"raw"})
            with Catalog(LakePaths(root)) as catalog:
                try:
                    migration.migrate(catalog)
                except LakeError as error:
                    refused[name] = str(error)
    print(json.dumps(refused))


def main() -> int:
    """Run a command as the next program."""
    command, *arguments = sys.argv[1:]
    pretend()
    if command == "rugs":
        from rugs_cli.app import run

        sys.argv = ["rugs", *arguments]
        return run()
    root = Path(arguments[0])
    if command == "refusals":
        refusals(root)
    else:
        write(root, *map(int, arguments[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
