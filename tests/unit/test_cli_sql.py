"""`rugs sql`: every kind of value has a form in every kind of output."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from typer.testing import CliRunner

from rugs_cli.app import app
from tests.lakekit import message, store, tick


def test_csv_has_lists_and_objects_as_json_and_nothing_for_null(tmp_path: Path) -> None:
    store(tmp_path, message(1, tick(1, "g"), tick(4, "g"), tick(0, "h")))
    query = (
        "SELECT game_id, missing_ticks, {'a': [1.5, NULL]} AS said, nullif(sources, ['public_ws']) AS nobody"
        " FROM game_completeness ORDER BY 1"
    )
    done = CliRunner().invoke(
        app, ["sql", query, "--format", "csv"], env={"RUGS_DATA_DIR": str(tmp_path)}, catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    header, first, second = csv.reader(done.stdout.splitlines())
    assert header == ["game_id", "missing_ticks", "said", "nobody"]
    assert json.loads(first[1]) == [{"first": 0, "last": 0}, {"first": 2, "last": 3}]
    assert second == ["h", "[]", '{"a":[1.5,null]}', ""]
