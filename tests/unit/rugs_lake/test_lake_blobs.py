"""Frames too large for a message: their bytes come from the object store, and are stored as if they had come along."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from rugs_lake.write import blobs
from rugs_proto import ids
from rugs_proto.message import Message
from tests.support import lakekit
from tests.support.lakekit import envelope, message, open_writer

BYTES = b"a frame of twenty megabytes" * 10

NAME = ids.event_id("public_ws", "session-1", 1, BYTES)


def large(data: bytes = BYTES, seq: int = 1, **changes: Any) -> dict[str, Any]:
    told = {
        "raw": ...,
        "blob": hashlib.sha256(data).hexdigest(),
        "id": ids.event_id("public_ws", "session-1", seq, data),
    }
    return envelope(seq, **{**told, **changes})


def take(root: Path, *messages: Message, found: dict[str, bytes | None]) -> Any:
    writer = open_writer(root)
    for each in messages:
        rows = writer.judge(each)
        assert blobs.wanted(rows) <= found.keys()
        writer.add(each, rows, found)
    pending = writer.take()
    assert pending is not None
    done = writer.commit(pending)
    writer.close()
    return done


def test_the_bytes_are_stored_as_if_they_had_come_along(tmp_path: Path) -> None:
    done = take(tmp_path, message(1, large()), message(2, envelope(1, raw=BYTES)), found={NAME: BYTES})
    row = lakekit.one_row(tmp_path)
    assert (row["raw"].encode(), row["id"]) == (BYTES, large()["id"])
    assert (done.blobs, done.totals["duplicates"]) == ({NAME}, 1)
    lakekit.checked(tmp_path)


def test_bytes_that_are_not_text_stay_bytes(tmp_path: Path) -> None:
    data = b"\xff\x00" * 50
    take(tmp_path, message(1, large(data)), found={large(data)["id"]: data})
    assert lakekit.one_row(tmp_path)["raw_bin"] == data


@pytest.mark.parametrize(
    ("sent", "found", "reason"),
    [
        (large(), None, "not in the object store"),
        (large(), b"other bytes", "do not match"),
        (large(id="e" * 32), BYTES, "do not match"),
        (large(seq=2), BYTES[:-1], "do not match"),
    ],
)
def test_bytes_that_cannot_be_had_make_a_reject_that_keeps_the_envelope(
    tmp_path: Path, sent: dict[str, Any], found: bytes | None, reason: str
) -> None:
    take(tmp_path, message(1, sent, envelope(9)), found={sent["id"]: found})
    reject = lakekit.one_row(tmp_path, "reject")
    assert reason in reject["reason"]
    assert sent["id"] in (reject["raw"] or reject["raw_bin"].decode(errors="replace"))
    assert lakekit.checked(tmp_path).rows == 2


def test_a_large_frame_that_comes_again_after_its_object_was_deleted_is_a_duplicate(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for seq, found in ((1, BYTES), (2, None)):
        sent = message(seq, large())
        writer.add(sent, writer.judge(sent), {NAME: found})
        pending = writer.take()
        assert pending is not None
        done = writer.commit(pending)
    assert done.totals["duplicates"] == 1
    assert lakekit.checked(tmp_path).rows == 1


def test_a_large_frame_whose_object_came_late_is_stored_when_it_is_sent_again(tmp_path: Path) -> None:
    take(tmp_path, message(1, large()), message(2, large(seq=7)), found={NAME: None, large(seq=7)["id"]: None})
    writer = open_writer(tmp_path, at_cursor=message(2, large(seq=7)))
    sent = message(3, large())
    writer.add(sent, writer.judge(sent), {NAME: BYTES})
    pending = writer.take()
    assert pending is not None
    writer.commit(pending)
    assert lakekit.one_row(tmp_path)["id"] == large()["id"]
    assert lakekit.checked(tmp_path).rows == 3


def test_large_frames_count_towards_a_batch_s_size(tmp_path: Path) -> None:
    """What bounds a batch, and so the writer's memory, has to see the bytes from the object store."""
    writer = open_writer(tmp_path)
    data = b"x" * 1_000_000
    sent = message(1, large(data))
    writer.add(sent, writer.judge(sent), {large(data)["id"]: data})
    assert writer.pending.bytes > 1_000_000
