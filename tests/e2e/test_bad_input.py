"""Hostile and broken input through the real bus: each message is stored, or kept with its exact bytes and a reason."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgpack
import pytest

import rugs_lake
from rugs_bus import Publisher, get_blob, get_message, put_blob
from rugs_lake.store import ledger
from rugs_proto import event_id
from rugs_proto.envelope import TS_END_US, TS_MIN_US
from rugs_proto.subjects import MAX_BODY
from tests.support.lakekit import body, envelope, id_of
from tests.support.legacy_lines import GAME, frame, start, tick
from tests.support.stackkit import Rugs, caught_up, publish, rows, until

pytestmark = pytest.mark.slow

SUBJECT = "rugs.events.ws_event.public_ws.gameStateUpdate"
GOOD = envelope(1, session_id="bad-input")
PACKED = body(GOOD)


def changed(**changes: Any) -> bytes:
    return body(envelope(**{"session_id": "bad-input", **changes}))


class Bad(NamedTuple):
    what: str
    body: bytes
    reason: str
    subject: str = SUBJECT


BAD = (
    Bad("truncated msgpack", PACKED[:-5], ""),
    Bad("more after the end", PACKED + b"\x00", ""),
    Bad("wrong version", changed(v=2), "v"),
    Bad("no version", changed(v=...), "v"),
    Bad("malformed doc type", changed(doc_type="../../etc"), "doc_type is malformed"),
    Bad(
        "malformed doc type on its own subject", changed(doc_type="Ws-Event"), "malformed", "rugs.events.Ws-Event.ui.x"
    ),
    Bad("not the subject's doc type", changed(doc_type="game_tick"), "on the subject of 'ws_event'"),
    Bad("NaN", changed(fields={"price": float("nan")}), "fields.price is not a finite number"),
    Bad("infinity, deep", changed(fields={"a": [{"b": float("-inf")}]}), "not a finite number"),
    Bad("year 1", changed(ts=-62_135_596_800_000_000), "ts"),
    Bad("year 9999", changed(ts=253_402_300_799_000_000), "ts"),
    Bad("just before 2000", changed(ts=TS_MIN_US - 1), "ts"),
    Bad("2200", changed(ts=TS_END_US), "ts"),
    Bad("beyond 64 bits of time", changed(ts=2**64 - 1), "ts"),
    Bad("text that is not UTF-8", PACKED.replace(b"bad-input", b"bad\xffinput"), ""),
    Bad("raw text that is not UTF-8", PACKED.replace(b'{"n":1}', b'{"\xff":1}'), "raw is text that is not UTF-8"),
    Bad("unknown key", changed(extra=1), "extra"),
    Bad("wrong id", changed(id="0" * 32), "id does not match the content"),
    Bad("malformed source", changed(source="Some-Where"), "source"),
    Bad("seq 0", changed(seq=0), "seq"),
    Bad("a billion elements promised", b"\xdd\x3b\x9a\xca\x00", ""),
    Bad("nested without end", b"\x91" * 100_000, ""),
    Bad("junk as `nats pub` sends it", b'{"event":"x","data":{"a":1}}', "not a msgpack map or array"),
    Bad("junk, not UTF-8", bytes(range(256)), "not a msgpack map or array"),
    Bad("empty body", b"", "not a msgpack map or array"),
    Bad("nil", b"\xc0", "not a msgpack map or array"),
    Bad("no event subject", PACKED, "not an event subject", "rugs.events.ws_event"),
    Bad("SQL in a name", changed(doc_type="x'; DROP TABLE rugs_cursor; --"), "malformed"),
    Bad("no such object", changed(raw=..., blob="0" * 64, id="1" * 32), "not in the object store"),
)
GOOD_ONES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("the first moment allowed", envelope(101, session_id="edge", ts=TS_MIN_US)),
    ("the last moment allowed", envelope(102, session_id="edge", ts=TS_END_US - 1)),
    ("greatest position", envelope(2**63 - 1, session_id="edge", ts=TS_MIN_US)),
    ("bytes that are not UTF-8", envelope(103, session_id="edge", raw=b"\xff\xfe\x00")),
    ("nothing at all", envelope(104, session_id="edge", raw="")),
    ("a NUL", envelope(105, session_id="edge", raw="a\0b", event="e\0", username="n\0")),
    ("quotes", envelope(106, session_id="edge", event="'; DROP TABLE x; --", username='"')),
    (
        "a huge number",
        envelope(107, session_id="edge", fields={"tick": 2**64 - 1, "price": 1e308, "trade_count": -(2**63)}),
    ),
    ("a type that is not the column's", envelope(108, session_id="edge", fields={"price": "cheap", "active": 1})),
)
HOSTILE_HEADERS: tuple[Mapping[str, str], ...] = (
    {"Rugs-Import": "x", "Rugs-Import-Seq": "1"},
    {"Rugs-Import": "a" * 32, "Rugs-Import-Seq": "-1"},
    {"Rugs-Import": "a" * 32, "Rugs-Import-Seq": "9" * 30},
    {"Rugs-Import": "b" * 32, "Rugs-Import-Seq": "9" * 16, "Rugs-Import-Done": "{not json"},
    {"Rugs-Import": "c" * 32, "Rugs-Import-Seq": "1", "Rugs-Import-Done": "[1, 2]"},
    {"Rugs-Import": "d" * 32, "Rugs-Import-Seq": "1", "Rugs-Import-Done": '{"sha256": {"a": 1}, "size": 1e999}'},
    {"Rugs-Import": "' OR 1=1 --", "Rugs-Import-Seq": "1"},
    {"Rugs-Retry": "zz"},
    {"Rugs-Retry": "f" * 32},
    {"Rugs-Schema": "999", "X" * 200: "y" * 2000},
)


async def test_what_is_not_an_envelope_is_kept_with_its_exact_bytes(stack: Rugs) -> None:
    async with stack.bus() as nc:
        at = {await publish(nc, bad.subject, bad.body): bad for bad in BAD}
        edges = {await publish(nc, SUBJECT, body(good)): (what, good) for what, good in GOOD_ONES}
        both = body(
            envelope(1, session_id="mixed"), envelope(2, session_id="mixed", v=7), envelope(3, session_id="mixed")
        )
        mixed = await publish(nc, SUBJECT, both)
        await caught_up(nc, stack.root)
    kept = {
        seq: (raw.encode() if raw is not None else raw_bin, reason, subject)
        for seq, raw, raw_bin, reason, subject in rows(
            stack.root, "SELECT stream_seq, raw, raw_bin, reason, subject FROM reject"
        )
    }
    for seq, bad in at.items():
        content, reason, subject = kept[seq]
        if bad.what == "no such object":
            again, told = msgpack.unpackb(content), msgpack.unpackb(bad.body)  # packed again, nothing left out
            assert {key: again[key] for key in told} == told, bad.what
        else:
            assert content == bad.body, bad.what
        assert bad.reason in reason, (bad.what, reason)
        assert 0 < len(reason) <= 500, bad.what
        assert subject == bad.subject, bad.what
    stored = {
        seq: (event_hex, raw.encode() if raw is not None else raw_bin)
        for seq, event_hex, raw, raw_bin in rows(stack.root, "SELECT stream_seq, id, raw, raw_bin FROM events")
    }
    for seq, (what, good) in edges.items():
        raw = good["raw"]
        assert stored[seq] == (id_of(good), raw.encode() if isinstance(raw, str) else raw), what
    assert rows(stack.root, f"SELECT seq FROM events WHERE stream_seq = {mixed} ORDER BY 1") == [(1,), (3,)]
    assert kept[mixed][0] == msgpack.packb(envelope(2, session_id="mixed", v=7))
    assert not [seq for seq in at if seq in stored]
    huge = rows(
        stack.root, "SELECT tick, price, trade_count, extra FROM events WHERE session_id = 'edge' AND seq = 107"
    )
    assert huge == [(None, 1e308, -(2**63), '{"tick":18446744073709551615}')]
    assert stack.json("verify")["ok"] is True


async def test_hostile_headers_and_subjects_cut_nobody_off(stack: Rugs) -> None:
    async with stack.bus() as nc:
        for place, headers in enumerate(HOSTILE_HEADERS):
            await publish(nc, SUBJECT, body(envelope(place + 1, session_id="headers")), headers)
        where = urlsplit(stack.url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n')
        writer.write(b"PUB rugs.events.\xff\xfe.x.y 4\r\njunk\r\n")
        one = body(envelope(1, session_id="odd-subject"))
        writer.write(b"PUB rugs.events.ws_event.public_ws.\xe9 %d\r\n%s\r\n" % (len(one), one))
        two = body(envelope(2, session_id="odd-subject"))
        head = b"NATS/1.0 \xff odd\r\nRugs-Import: \xff\r\nno colon\r\n\r\n"
        writer.write(b"HPUB %s %d %d\r\n%s%s\r\n" % (SUBJECT.encode(), len(head), len(head) + len(two), head, two))
        writer.write(b"PING\r\n")
        await writer.drain()
        while await reader.readline() != b"PONG\r\n":
            pass
        writer.close()
        last = await publish(nc, SUBJECT, body(envelope(3, session_id="odd-subject")))
        await caught_up(nc, stack.root)
    assert rows(stack.root, "SELECT count(*) FROM events WHERE session_id = 'headers'") == [(len(HOSTILE_HEADERS),)]
    assert rows(stack.root, "SELECT seq FROM events WHERE session_id = 'odd-subject' ORDER BY 1") == [(1,), (2,), (3,)]
    assert rows(stack.root, f"SELECT raw FROM reject WHERE stream_seq = {last - 3}") == [("junk",)]
    assert ledger.run(stack.root, "a" * 32) is None
    assert stack.json("verify")["ok"] is True
    listed = {one["stream_seq"]: one for one in stack.json("rejects", "list")}
    shown = stack("rejects", "show", listed[last - 3]["id"], "--raw")
    assert shown.stdout == b"junk"


async def test_the_largest_body_passes_whole(stack: Rugs) -> None:
    empty = len(body(envelope(1, session_id="largest", raw="x" * 70_000))) - 70_000
    largest = envelope(1, session_id="largest", raw="x" * (MAX_BODY - empty))
    assert len(body(largest)) == MAX_BODY
    async with stack.bus() as nc:
        publisher = Publisher(nc)
        await publisher.publish(SUBJECT, body(largest), msg_id=id_of(largest))
        await publisher.publish(SUBJECT, body(envelope(2, session_id="largest")), msg_id="after")
        await publisher.flush()
        await publisher.close()
        assert nc.stats["reconnects"] == 0
        await caught_up(nc, stack.root)
    stored = rows(stack.root, "SELECT octet_length(encode(raw)) FROM events WHERE session_id = 'largest' ORDER BY seq")
    assert stored[0] == (MAX_BODY - empty,)
    assert len(stored) == 2


async def test_a_frame_of_20_mb_goes_by_the_object_store(stack: Rugs) -> None:
    """The bytes are in the lake as if they had come along; then the object is gone."""
    large = os.urandom(20_000_000)
    told = envelope(5, session_id="large", raw=...)
    told |= {"blob": hashlib.sha256(large).hexdigest(), "id": event_id("public_ws", "large", 5, large)}
    async with stack.bus() as nc:
        await put_blob(nc, told["id"], large)
        seq = await publish(nc, SUBJECT, body(told))
        await caught_up(nc, stack.root)

        async def deleted() -> bool:
            return await get_blob(nc, told["id"]) is None

        await until(deleted)
        again = await publish(nc, SUBJECT, body(told))  # its object is gone: known by its id
        await caught_up(nc, stack.root)
        assert await get_message(nc, again) is not None
        await put_blob(nc, "2" * 32, b"other bytes")
        damaged = {**told, "id": "2" * 32, "seq": 6}
        wrong = await publish(nc, SUBJECT, body(damaged))
        await caught_up(nc, stack.root)
    assert rows(stack.root, "SELECT stream_seq, id FROM events WHERE session_id = 'large'") == [(seq, told["id"])]
    with rugs_lake.open(stack.root) as lake:
        assert lake.arrow("SELECT raw_bin FROM events WHERE session_id = 'large'")["raw_bin"][0].as_py() == large
    (reason,) = rows(stack.root, f"SELECT reason FROM reject WHERE stream_seq = {wrong}")
    assert "do not match" in reason[0]
    assert stack.json("verify")["ok"] is True


def test_a_line_of_20_mb_in_a_recording_is_imported_whole(stack: Rugs, tmp_path: Path) -> None:
    large = frame(2, data={"gameId": "large-line", "filling": "é" * 3_400_000})
    (tmp_path / "big_raw.jsonl").write_bytes(b"".join(line + b"\n" for line in (frame(1), large, frame(3))))
    told = stack.json("import", tmp_path, "--wait")
    assert (told["records"], told["stored"], told["rejected"]) == (3, 3, 0)
    ((raw,),) = rows(stack.root, "SELECT raw FROM events WHERE game_id = 'large-line'")
    assert raw.encode() == large
    assert stack.json("import", tmp_path, "--wait")["stored"] == 0


def test_broken_lines_in_a_recording_are_kept_with_their_place(stack: Rugs, tmp_path: Path) -> None:
    lines = (start(), tick(1), b"\xff\xfe junk \x00", b'{"type": "tick", "price": NaN}', b"", tick(2)[:40], tick(3))
    path = tmp_path / f"game_20981231_220000_{GAME[-8:]}.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    told = stack.json("import", path, "--wait")
    assert (told["lines"], told["blank"], told["records"], told["rejected"]) == (7, 1, 3, 3)
    offsets = [sum(len(line) + 1 for line in lines[:place]) for place in range(len(lines))]
    kept = {one["line"]: one for one in stack.json("rejects", "list") if one["file"] == path.name}
    assert {(line, one["offset"]) for line, one in kept.items()} == {(n + 1, offsets[n]) for n in (2, 3, 5)}
    for line, one in kept.items():
        assert stack("rejects", "show", one["id"], "--raw").stdout == lines[line - 1]
        assert one["reason"]


def test_a_wrong_nats_url_is_one_line_for_every_command_that_needs_the_bus(tmp_path: Path) -> None:
    rugs = Rugs(tmp_path / "data", NATS_URL="nats://127.0.0.1:1", RUGS_CONNECT_TIMEOUT="0.5")
    (tmp_path / "game_1.jsonl").write_bytes(start() + b"\n")
    for arguments in (("up",), ("up", "--detach"), ("import", tmp_path / "game_1.jsonl")):
        done = rugs(*arguments)
        assert done.returncode == 1, arguments
        (line,) = done.stderr.decode().splitlines()
        assert "nats://127.0.0.1:1" in line, arguments
        assert "NATS_URL" in line, arguments
    done = rugs("up", NATS_URL="http://x")
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("rugs: NATS_URL: not a NATS address: write nats://")


def test_a_data_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file stands where the folder should be: root may write into any folder."""
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")
    rugs = Rugs(blocked / "data")
    (tmp_path / "game_1.jsonl").write_bytes(start() + b"\n")
    for arguments in (("up",), ("up", "--detach"), ("import", tmp_path / "game_1.jsonl")):
        done = rugs(*arguments)
        assert done.returncode == 1, arguments
        (line,) = done.stderr.decode().splitlines()
        assert str(blocked) in line, (arguments, line)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system that is read-only")
def test_a_read_only_data_folder_is_one_line_and_can_still_be_asked(tmp_path: Path) -> None:
    root = tmp_path / "data"
    rugs = Rugs(root)
    (tmp_path / "game_1.jsonl").write_bytes(start() + b"\n")
    assert rugs.json("import", tmp_path / "game_1.jsonl", "--wait")["stored"] == 1
    if subprocess.run(["mount", "--bind", root, root], check=False, capture_output=True).returncode:
        pytest.skip("no right to mount here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
        for arguments in (("up",), ("up", "--detach"), ("import", tmp_path / "game_1.jsonl")):
            done = rugs(*arguments)
            assert done.returncode == 1, arguments
            (line,) = done.stderr.decode().splitlines()
            assert str(root) in line, (arguments, line)
            assert "Read-only file system" in line, (arguments, line)
        assert rugs.select("SELECT count(*) AS n FROM events") == [{"n": 1}]
        assert rugs.json("verify")["ok"] is True
    finally:
        subprocess.run(["umount", root], check=True)


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    rugs = Rugs(tmp_path / "data")
    for arguments in (("import",), ("import", "no-such-file"), ("sql",), ("nonsense",), ("up", "--nonsense")):
        assert rugs(*arguments).returncode == 2, arguments
    for arguments in (("sql", "SELECT 1"), ("stats",), ("verify",), ("rejects", "list")):
        done = rugs(*arguments)
        assert done.returncode == 1, arguments
        assert len(done.stderr.decode().splitlines()) == 1, arguments
