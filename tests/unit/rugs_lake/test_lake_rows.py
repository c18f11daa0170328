"""What an event becomes in the lake: every key in its column and back, and nothing lost on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_lake.store.rows import rows_of
from rugs_lake.store.schema import COLUMNS, FIELD_COLUMNS, SCHEMA_VERSION
from rugs_lake.store.table import to_table
from tests.support import lakekit
from tests.support.examples import examples
from tests.support.lakekit import DAY_US, INCARNATION, NOON_US, STREAM, envelope, message, tick, utc

FULL_FIELDS: dict[str, Any] = {
    "price": 1.25,
    "tick": 7,
    "phase": "ACTIVE",
    "active": True,
    "rugged": False,
    "cooldown_timer": 1500,
    "trade_count": 3,
    "is_filler": False,
    "filled": True,
    "cash": 10.5,
    "position_qty": 0.25,
    "avg_cost": 1.5,
    "total_invested": 2.5,
    "cumulative_pnl": -0.5,
    "amount": 0.01,
    "action": "BUY",
    "reason": "why",
}


def test_the_columns_of_this_schema_version_are_pinned() -> None:
    """A column keeps its field id for ever; a change here needs a new schema version."""
    assert SCHEMA_VERSION == "1.1.0"
    assert [(c.field_id, c.name, c.ducklake) for c in COLUMNS] == [
        (place, *pair)
        for place, pair in enumerate(
            [
                *[("id", "blob"), ("doc_type", "varchar"), ("date", "date"), ("ts", "timestamptz")],
                *[("recv_ts", "timestamptz"), ("v", "int32"), ("source", "varchar"), ("session_id", "varchar")],
                *[("seq", "int64"), ("direction", "varchar"), ("event", "varchar"), ("game_id", "varchar")],
                *[("player_id", "varchar"), ("username", "varchar"), ("price", "float64"), ("tick", "int64")],
                *[("phase", "varchar"), ("active", "boolean"), ("rugged", "boolean"), ("cooldown_timer", "int64")],
                *[("trade_count", "int64"), ("is_filler", "boolean"), ("filled", "boolean"), ("cash", "float64")],
                *[("position_qty", "float64"), ("avg_cost", "float64"), ("total_invested", "float64")],
                *[("cumulative_pnl", "float64"), ("amount", "float64"), ("action", "varchar"), ("reason", "varchar")],
                *[("extra", "varchar"), ("raw", "varchar"), ("raw_bin", "blob"), ("cause", "blob")],
                *[("origin_sha256", "varchar"), ("origin_file", "varchar"), ("origin_line", "int64")],
                *[("origin_offset", "int64"), ("origin_tz", "varchar"), ("origin_extra", "varchar")],
                *[("subject", "varchar"), ("incarnation", "varchar"), ("stream_seq", "int64"), ("owner", "varchar")],
            ],
            start=1,
        )
    ]


def test_every_key_of_an_envelope_comes_back(tmp_path: Path) -> None:
    origin = {"sha256": "f" * 64, "file": "game_1.jsonl", "line": 3, "offset": 41, "tz": "America/New_York"}
    sent = envelope(
        seq=42,
        recv_ts=NOON_US + 5,
        source="import",
        direction="sent",
        game_id="game-1",
        player_id="player-1",
        username="Zoë",
        fields={**FULL_FIELDS, "other": [1, {"deep": None}]},
        origin={**origin, "more": 1},
    )
    lakekit.store(tmp_path, message(1, sent))
    row = lakekit.one_row(tmp_path)
    assert row == {
        "id": lakekit.id_of(sent),
        "doc_type": "ws_event",
        "date": utc(NOON_US).date(),
        "ts": utc(NOON_US + 42),
        "recv_ts": utc(NOON_US + 5),
        **{key: sent[key] for key in ("v", "source", "session_id", "seq", "direction", "event", "raw")},
        **{key: sent[key] for key in ("game_id", "player_id", "username")},
        **FULL_FIELDS,
        "extra": '{"other":[1,{"deep":null}]}',
        "raw_bin": None,
        "cause": None,
        **{f"origin_{key}": value for key, value in origin.items()},
        "origin_extra": '{"more":1}',
        "subject": None,
        "incarnation": INCARNATION,
        "stream_seq": 1,
        "owner": "player-1",
    }


def test_a_derived_event_keeps_its_cause(tmp_path: Path) -> None:
    lakekit.store(tmp_path, message(1, tick(3)))
    row = lakekit.one_row(tmp_path, "game_tick")
    assert (row["id"], row["cause"], row["raw"], row["raw_bin"]) == (lakekit.id_of(tick(3)), "c" * 32, None, None)


def test_an_import_s_offset_is_read_back_from_its_seq(tmp_path: Path) -> None:
    origin = {"sha256": "f" * 64, "file": "x", "line": 2, "offset": 99}
    lakekit.store(
        tmp_path, message(1, envelope(seq=100, source="import", origin=origin), envelope(seq=200, origin=None))
    )
    assert lakekit.select(tmp_path, "SELECT seq, origin_offset FROM events ORDER BY seq") == [(100, 99), (200, None)]


def test_an_offset_is_made_up_for_nothing_but_imports(tmp_path: Path) -> None:
    told = [
        envelope(5, origin={"line": 3}),
        envelope(6, origin={"line": 3, "offset": 5}),
        envelope(7, origin={"offset": 6}),
    ]
    lakekit.store(tmp_path, message(1, *told))
    rows = lakekit.select(tmp_path, "SELECT seq, origin_offset FROM events ORDER BY seq")
    assert rows == [(5, None), (6, 5), (7, 6)]


@pytest.mark.parametrize(
    ("raw", "text", "binary"),
    [
        ("", "", None),
        ("plain", "plain", None),
        ("Zoë 🚀\r\n\x00tail", "Zoë 🚀\r\n\x00tail", None),
        (b"UTF-8 as bytes", "UTF-8 as bytes", None),
        (b"\xff\xfe broken \x80", None, b"\xff\xfe broken \x80"),
        (None, None, None),
    ],
)
def test_what_was_received_is_kept_byte_for_byte(
    tmp_path: Path, raw: str | bytes | None, text: str | None, binary: bytes | None
) -> None:
    sent = envelope(raw=raw)
    lakekit.store(tmp_path, message(1, sent))
    row = lakekit.one_row(tmp_path)
    assert (row["raw"], row["raw_bin"], row["id"]) == (text, binary, lakekit.id_of(sent))


@pytest.mark.parametrize(
    ("field", "value", "stored", "extra"),
    [
        ("price", 2, 2.0, None),
        ("price", 2**53 + 1, None, {"price": 2**53 + 1}),
        ("price", "1.0", None, {"price": "1.0"}),
        ("price", True, None, {"price": True}),
        ("tick", 1.0, None, {"tick": 1.0}),
        ("tick", True, None, {"tick": True}),
        ("tick", 2**63, None, {"tick": 2**63}),
        ("tick", -(2**63), -(2**63), None),
        ("phase", 3, None, {"phase": 3}),
        ("phase", {"a": 1}, None, {"phase": {"a": 1}}),
        ("active", 1, None, {"active": 1}),
        ("active", "yes", None, {"active": "yes"}),
    ],
)
def test_a_value_that_does_not_fit_its_column_is_kept_in_extra(
    tmp_path: Path, field: str, value: Any, stored: Any, extra: dict[str, Any] | None
) -> None:
    good = {"price": 1.5, "tick": 1, "phase": "x", "active": True}
    lakekit.store(
        tmp_path, message(1, envelope(1, fields={**good, field: value}), envelope(2, fields={**good, "odd": 1}))
    )
    rows = lakekit.select(tmp_path, f"SELECT {field}, extra FROM events ORDER BY seq")
    assert rows[0][0] == stored
    assert (json.loads(rows[0][1]) if rows[0][1] else None) == extra
    assert rows[1] == (good[field], '{"odd":1}')


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FIELDS = st.dictionaries(st.sampled_from([*FIELD_COLUMNS, "a", "bb"]), PLAIN, max_size=6)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(FIELDS, min_size=1, max_size=4))
def test_no_field_is_ever_lost_between_columns_and_extra(many: list[dict[str, Any]]) -> None:
    """Typed columns and `extra` together give the fields back, None in a typed one apart."""
    told = [envelope(seq, fields=fields) for seq, fields in enumerate(many, start=1)]
    table = to_table(rows_of(message(1, *told), STREAM), INCARNATION)
    for fields, row in zip(many, table.to_pylist(), strict=True):
        back = {name: row[name] for name in FIELD_COLUMNS if row[name] is not None}
        back |= json.loads(row["extra"] or "{}")
        assert back == {k: v for k, v in fields.items() if v is not None or k not in FIELD_COLUMNS}


def broken(**changes: Any) -> dict[str, Any]:
    return envelope(**{"seq": 2, **changes})


BAD_ENVELOPES = {
    "wrong version": (broken(v=2), "v"),
    "no version": (broken(v=...), "v"),
    "malformed doc type": (broken(doc_type="Bad-Type"), "doc_type"),
    "NaN": (broken(fields={"price": float("nan")}), "fields.price is not a finite number"),
    "infinity": (broken(fields={"deep": [float("inf")]}), "not a finite number"),
    "another doc type": (broken(doc_type="game"), "on the subject of"),
    "year 1": (broken(ts=-62_135_596_800_000_000), "ts"),
    "year 9999": (broken(ts=253_370_764_800_000_000), "ts"),
    "wrong id": (broken(id="0" * 32), "id does not match"),
    "unknown key": (broken(surprise=1), "surprise"),
    "malformed source": (broken(source="No-Where"), "source"),
    "seq 0": (broken(seq=0), "seq"),
}


@pytest.mark.parametrize("name", BAD_ENVELOPES)
def test_one_bad_envelope_in_an_array_is_rejected_with_its_bytes_and_the_others_stand(
    tmp_path: Path, name: str
) -> None:
    bad, reason = BAD_ENVELOPES[name]
    good = [envelope(1), envelope(3)]
    sent = message(5, good[0], bad, good[1])
    writer = lakekit.open_writer(tmp_path)
    lakekit.commit(writer, sent)
    writer.close()
    assert {row[0] for row in lakekit.select(tmp_path, "SELECT id FROM events")} == set(map(lakekit.id_of, good))
    reject = lakekit.one_row(tmp_path, "reject")
    kept = reject["raw_bin"] if reject["raw"] is None else reject["raw"].encode()
    assert kept == msgpack.packb(bad)
    assert reason in reject["reason"]
    assert (reject["subject"], reject["stream_seq"], reject["seq"]) == (sent.subject, 5, 2)
    assert reject["session_id"] == f"stream:RUGS_EVENTS:5:{sent.time_us}"
    lakekit.checked(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        lakekit.body(envelope(1))[:-3],
        lakekit.body(envelope(1), envelope(2))[:-3],
        b"",
        b"\xc1",
        b"42",
        msgpack.packb("text"),
        lakekit.body(envelope(1)) + b"\x00",
        b"\x91" * 100_000,
        msgpack.packb([b"not a map", None]),
    ],
    ids=[
        *["cut map", "cut array", "empty", "never used byte", "number", "text", "trailing byte", "deep nesting"],
        "elements that are no maps",
    ],
)
def test_a_body_that_is_no_envelope_is_rejected_with_its_exact_bytes(tmp_path: Path, content: bytes) -> None:
    lakekit.store(tmp_path, message(1, body=content))
    rows = lakekit.select(tmp_path, "SELECT coalesce(raw_bin, encode(raw)) FROM reject ORDER BY seq")
    whole = content in [row[0] for row in rows]
    parts = b"".join(row[0] for row in rows) == content[1:]
    assert whole or parts
    assert lakekit.select(tmp_path, "SELECT count(*) FROM events") == [(0,)]
    lakekit.checked(tmp_path)


def test_a_body_of_very_many_faults_is_kept_once_beside_its_good_events(tmp_path: Path) -> None:
    sent = message(1, envelope(1), body=msgpack.packb([envelope(1), *[None] * 5000]))
    lakekit.store(tmp_path, sent)
    reject = lakekit.one_row(tmp_path, "reject")
    assert (reject["raw_bin"], lakekit.one_row(tmp_path)["id"]) == (sent.body, lakekit.id_of(envelope(1)))
    lakekit.checked(tmp_path)


@pytest.mark.parametrize("subject", ["rugs.events", "rugs.events.ws_event", "other.subject.a.b.c", "rugs.events..b.c"])
def test_a_message_on_a_foreign_subject_is_a_reject_as_a_whole(tmp_path: Path, subject: str) -> None:
    sent = message(1, envelope(1), envelope(2), subject=subject)
    lakekit.store(tmp_path, sent)
    reject = lakekit.one_row(tmp_path, "reject")
    assert (reject["raw"] or "").encode() + (reject["raw_bin"] or b"") == sent.body
    assert reject["subject"] == subject


def test_an_empty_array_is_taken_and_stores_nothing(tmp_path: Path) -> None:
    writer = lakekit.open_writer(tmp_path)
    done = lakekit.commit(writer, message(1))
    assert (done.files, done.cursor.last_seq) == (0, 1)
    lakekit.checked(tmp_path)


def test_an_unknown_doc_type_is_stored_and_gets_a_view(tmp_path: Path) -> None:
    lakekit.store(tmp_path, message(1, envelope(1, doc_type="brand_new_2")), message(2, envelope(2)))
    assert lakekit.select(tmp_path, "SELECT doc_type FROM brand_new_2") == [("brand_new_2",)]
    assert lakekit.select(tmp_path, "SELECT count(*) FROM events") == [(2,)]


@pytest.mark.parametrize("doc_type", ["events", "gap", "_gap", "select", "main", "sqlite_master", "duckdb_tables"])
def test_a_doc_type_named_like_something_else_does_not_stop_queries(tmp_path: Path, doc_type: str) -> None:
    """The set of doc types is open, so whoever publishes chooses the names."""
    lakekit.store(tmp_path, message(1, envelope(1, doc_type=doc_type)), message(2, envelope(2)))
    assert lakekit.select(tmp_path, "SELECT doc_type FROM events ORDER BY seq") == [(doc_type,), ("ws_event",)]
    assert lakekit.select(tmp_path, "SELECT count(*) FROM gap") == [(0,)] if doc_type != "gap" else True
    assert lakekit.select(tmp_path, "SELECT count(*) FROM ws_event") == [(1,)]


def test_views_of_known_doc_types_are_there_while_empty(tmp_path: Path) -> None:
    lakekit.open_writer(tmp_path).close()
    for view in ("events", "ws_event", "game_tick", "player_action", "server_state", "system_event", "game", "reject"):
        assert lakekit.select(tmp_path, f"SELECT count(*) FROM {view} WHERE ts > now()") == [(0,)]


def test_a_late_event_goes_to_its_own_date(tmp_path: Path) -> None:
    days = (0, -1, -400, -26 * 365)
    lakekit.store(tmp_path, message(1, *(envelope(n, ts=NOON_US + day * DAY_US) for n, day in enumerate(days, 1))))
    dates = [utc(NOON_US + day * DAY_US).date() for day in days]
    assert lakekit.select(tmp_path, "SELECT date FROM events ORDER BY seq") == [(date,) for date in dates]
    assert {path.parent.name for path in lakekit.live_paths(tmp_path)} == {f"date={date}" for date in dates}


@pytest.mark.parametrize(("ts", "date"), [(DAY_US * 20_000 - 1, -1), (DAY_US * 20_000, 0)])
def test_the_day_begins_at_midnight_utc(tmp_path: Path, ts: int, date: int) -> None:
    lakekit.store(tmp_path, message(1, envelope(1, ts=ts)))
    assert lakekit.select(tmp_path, "SELECT date FROM events") == [(utc(DAY_US * (20_000 + date)).date(),)]


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, -(2**63), 0.5, "3", None, [1]])
def test_a_derived_tick_with_an_odd_number_is_stored_once(tmp_path: Path, number: Any) -> None:
    odd = tick(3, fields={"tick": number, "phase": "x", "rugged": False})
    lakekit.store(tmp_path, message(1, odd), message(2, odd))
    assert lakekit.all_ids(tmp_path) == [lakekit.id_of(odd)]
    lakekit.checked(tmp_path)
