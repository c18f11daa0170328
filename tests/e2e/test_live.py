"""A live feed on the whole stack: published as the README says, seen by `rugs sql`, `rugs decode` and `rugs stats`."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

import rugs_lake
from rugs_bus import Publisher, get_message
from rugs_proto import SOURCES, Envelope, doc_types, encode, event_subject, message_id
from rugs_runtime.service import ask_status
from tests.support.lakekit import DAY_US, NOON_US, body, envelope, id_of, tick
from tests.support.stackkit import Rugs, caught_up, publish, rows, until

pytestmark = pytest.mark.slow

README = Path(__file__).parents[2] / "README.md"
VISIBLE_WITHIN = 3.0
"""Seconds from the broker's acknowledgement to a query that sees the event, by default."""


def snippet(having: str) -> str:
    """Return the only block of Python in the README that has a text in it."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (found,) = [block for block in blocks if having in block]
    return str(found)


async def run_snippet(code: str, **names: Any) -> dict[str, Any]:
    """Run code with `await` at its top level; return its names."""
    compiled = compile(code, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(compiled, names)
    if inspect.isawaitable(running):
        await running
    return names


async def test_an_event_published_as_the_readme_says_is_visible_within_three_seconds(stack: Rugs) -> None:
    code = snippet("Publisher(nc)")
    assert "nats://127.0.0.1:4222" in code
    names = await run_snippet(code.replace("nats://127.0.0.1:4222", stack.url))
    event: Envelope = names["event"]
    accepted = time.monotonic()
    question = f"SELECT raw FROM events WHERE id = '{event.computed_id()}'"
    await until(lambda: rows(stack.root, question), limit=VISIBLE_WITHIN)
    assert time.monotonic() - accepted < VISIBLE_WITHIN
    (row,) = stack.select(f"SELECT * FROM ws_event WHERE id = '{event.computed_id()}'")
    assert row["raw"] == event.raw
    assert row["ts"] == "2026-01-01T00:00:00+00:00"
    assert (row["doc_type"], row["date"], row["source"]) == ("ws_event", "2026-01-01", "public_ws")
    assert (row["session_id"], row["seq"], row["event"]) == ("s1", 1, "gameStateUpdate")
    await names["publisher"].close()
    await names["nc"].close()


async def test_the_lake_opens_as_the_readme_says(stack: Rugs, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [tick(number, game="readme") for number in (2, 0, 1)]
    async with stack.bus() as nc:
        await publish(nc, "rugs.events.game_tick.public_ws.tick", body(*ticks))
        await caught_up(nc, stack.root)
    monkeypatch.setenv("RUGS_DATA_DIR", str(stack.root))
    names = await run_snippet(snippet("rugs_lake.open()"), game_id="readme")
    assert names["ticks"].to_pylist() == [{"tick": n, "price": 1.0 + n / 100} for n in range(3)]


async def test_every_doc_type_source_and_an_unknown_one_is_stored_as_it_came(stack: Rugs) -> None:
    """One envelope a message, and arrays; late events lie under their own date."""
    told: list[dict[str, Any]] = []
    async with stack.bus() as nc:
        publisher = Publisher(nc)
        for number, doc_type in enumerate((*doc_types(), "weather_report")):
            source = SOURCES[number % len(SOURCES)]
            session = f"kinds-{doc_type}"
            kind = {"doc_type": doc_type, "source": source, "session_id": session, "event": f"e/{number}"}
            events = [envelope(seq, ts=NOON_US - seq * 400 * DAY_US, **kind) for seq in (1, 2, 3)]
            subject = event_subject(doc_type, source, f"e/{number}")
            for some in (events[:1], events[1:]):
                checked = [Envelope(**each) for each in some]
                await publisher.publish(
                    subject,
                    encode(checked[0] if len(checked) == 1 else checked),
                    msg_id=message_id([id_of(each) for each in some]),
                    key=session,
                )
            told += events
        await publisher.flush()
        await publisher.close()
        await caught_up(nc, stack.root)
    stored = {
        (row["id"], row["doc_type"], row["source"], row["seq"], row["raw"], row["event"], row["date"])
        for view in ("events", "reject")
        for row in stack.select(f"SELECT * FROM {view} WHERE starts_with(session_id, 'kinds-')")
    }
    dates = {1: "2025-04-27", 2: "2024-03-23", 3: "2023-02-17"}
    assert stored == {
        (id_of(e), e["doc_type"], e["source"], e["seq"], e["raw"], e["event"], dates[e["seq"]]) for e in told
    }
    for seq, date in dates.items():
        folder = stack.root / "events_parquet" / "doc_type=weather_report" / f"date={date}"
        assert len(list(folder.glob("part-*.parquet"))) == 1, seq


async def test_the_same_event_again_is_not_stored_again(stack: Rugs) -> None:
    """Not even outside the broker's duplicate window, which knows messages by a header that these have not."""
    again = body(envelope(7, session_id="again"))
    before = stack.json("verify")["totals"]["duplicates"]
    async with stack.bus() as nc:
        for _ in range(3):
            await publish(nc, "rugs.events.ws_event.public_ws.x", again)
        await publish(nc, "rugs.events.ws_event.public_ws.x", body(*[envelope(7, session_id="again")] * 2))
        await caught_up(nc, stack.root)
    assert stack.select("SELECT count(*) AS n FROM events WHERE session_id = 'again'") == [{"n": 1}]
    assert stack.json("verify")["totals"]["duplicates"] == before + 4


async def test_decode_reads_what_the_bus_carries(stack: Rugs) -> None:
    """`nats sub --translate 'rugs decode'` gives each body on standard input."""
    one, two = envelope(1, session_id="decode"), envelope(2, session_id="decode", raw=b"\xff\x00")
    subject = "rugs.events.ws_event.public_ws.gameStateUpdate"
    async with stack.bus() as nc:
        single = await get_message(nc, await publish(nc, subject, body(one)))
        several = await get_message(nc, await publish(nc, subject, body(one, two)))
        junk = await get_message(nc, await publish(nc, subject, b"hello, world"))
    assert single is not None
    assert several is not None
    assert junk is not None
    (line,) = stack("decode", given=single.body).stdout.splitlines()
    assert json.loads(line) == {**one, "id": id_of(one), "fields": {}}
    lines = [json.loads(line) for line in stack("decode", given=several.body).stdout.splitlines()]
    assert [told.get("raw", told.get("raw_base64")) for told in lines] == [one["raw"], "/wA="]
    done = stack("decode", given=junk.body)
    assert done.returncode == 1
    assert json.loads(done.stdout)["base64"] == "aGVsbG8sIHdvcmxk"


async def test_the_shapes_that_programs_rely_on(stack: Rugs) -> None:
    async with stack.bus() as nc:
        await publish(nc, "rugs.events.game_tick.public_ws.tick", body(tick(1, game="shape")))
        await caught_up(nc, stack.root)
    verified = stack.json("verify")
    named = ["ok", "snapshot", "files", "rows", "duplicate_ids", "orphans", "missing", "torn"]
    assert list(verified)[: len(named)] == named
    assert verified["ok"] is True
    assert [type(verified[name]) for name in named[1:]] == [int] * 7
    assert [verified[name] for name in named[4:]] == [0, 0, 0, 0]
    assert stack.json("verify", "--fast")["ok"] is True

    stats = stack.json("stats")
    counted = {doc_type: of["rows"] for doc_type, of in stats.items()}
    assert sum(counted.values()) == verified["rows"]
    ticks = stats["game_tick"]
    assert list(ticks) == ["rows", "files", "bytes", "first", "last"]
    assert [type(ticks[name]) for name in ("rows", "files", "bytes")] == [int] * 3
    assert ticks["first"] <= ticks["last"]
    assert ticks["last"].endswith("+00:00")

    by_type = stack.select("SELECT doc_type, count(*) AS events FROM events GROUP BY 1")
    assert {row["doc_type"]: row["events"] for row in by_type} == {k: v for k, v in counted.items() if k != "reject"}
    assert stack.select("SELECT 1 AS a, NULL AS b, 'x' AS c WHERE false") == []
    values = (
        "SELECT 1 AS i, 1.5 AS d, 'é' AS t, true AS b, NULL AS n, TIMESTAMPTZ '2026-01-01 00:00:00Z' AS at, [1] AS l"
    )
    (row,) = stack.select(values)
    assert row == {"i": 1, "d": 1.5, "t": "é", "b": True, "n": None, "at": "2026-01-01T00:00:00+00:00", "l": [1]}


async def test_a_query_sees_one_snapshot_while_events_come(stack: Rugs) -> None:
    async with stack.bus() as nc:
        publisher = Publisher(nc)
        await publisher.publish(
            "rugs.events.ws_event.ui.x", body(envelope(1, session_id="pin", source="ui")), msg_id="p1"
        )
        await publisher.flush()
        await caught_up(nc, stack.root)
        with rugs_lake.open(stack.root) as lake:
            await publisher.publish(
                "rugs.events.ws_event.ui.x", body(envelope(2, session_id="pin", source="ui")), msg_id="p2"
            )
            await publisher.flush()
            await caught_up(nc, stack.root)
            question = "SELECT count(*) FROM events WHERE session_id = 'pin'"
            assert lake.sql(question).fetchall() == [(1,)]
            assert rows(stack.root, question) == [(2,)]
            older = stack("sql", question, "--at-snapshot", str(lake.snapshot), "--json")
            assert json.loads(older.stdout) == [{"count_star()": 1}]
        await publisher.close()


async def test_down_commits_what_was_gathered(tmp_path: Path) -> None:
    """Nothing has to wait for the next flush by time: a writer that is told to stop commits first."""
    rugs = Rugs(tmp_path / "data", RUGS_FLUSH_SECONDS="600")
    assert rugs("up", "--detach").returncode == 0
    try:
        async with rugs.bus() as nc:
            for seq in range(1, 51):
                await publish(nc, "rugs.events.ws_event.public_ws.x", body(envelope(seq)))

            async def gathered() -> bool:
                answer = await ask_status(nc, "parquet-writer")
                return answer is not None and answer["pending_rows"] == 50

            await until(gathered)
    finally:
        down = await asyncio.to_thread(rugs, "down", "--json")
    assert json.loads(down.stdout)["stopped"] is True
    assert rugs.select("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM events") == [{"n": 50, "ids": 50}]
