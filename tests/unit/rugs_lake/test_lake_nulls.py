"""Questions for what is missing: the answer must not depend on what the files' statistics say."""

from __future__ import annotations

from pathlib import Path

import pytest

import rugs_lake
from rugs_lake.store.schema import COLUMNS
from tests.support import lakekit
from tests.support.lakekit import envelope, message


@pytest.mark.parametrize("value", ["x", "y" * 5000, b"\xff", b"\xff" * 5000])
def test_one_value_among_nulls_is_not_taken_for_all(tmp_path: Path, value: str | bytes) -> None:
    """DuckDB 2.0 did, for text that is not in a dictionary and has the same least and greatest value."""
    events = [envelope(seq, raw=None) for seq in range(1, 100)]
    told = {"game_id": "g", "player_id": "p", "username": "u", "fields": {"price": 1.5, "phase": "A", "other": "o"}}
    lakekit.store(tmp_path, message(1, *events, envelope(100, raw=value, recv_ts=lakekit.NOON_US, **told)))
    with rugs_lake.open(tmp_path) as lake:
        for column in (column.name for column in COLUMNS):
            answer = lake.sql(f"SELECT count(*) FROM events WHERE {column} IS NULL").fetchall()
            counted = lake.sql(f"SELECT count(*) - count({column}) FROM events").fetchall()
            assert answer == counted, column
