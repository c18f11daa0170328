"""Exactly once: ids, the cursor, epochs and incarnations, and what happens when an answer gets lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rugs_lake.errors import LakeError, LakeReplacedError
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.retention import expire
from rugs_lake.read.rejects import list_rejects
from rugs_lake.store import held
from rugs_lake.store.commit import FileVanishedError
from rugs_lake.store.cursor import SupersededError
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.rows import scope_hash
from rugs_lake.write.writer import LakeWriter
from rugs_proto import ids
from rugs_proto.message import Message
from rugs_proto.subjects import HEADER_RETRY
from tests.support import lakekit
from tests.support.lakekit import INCARNATION, LostAnswer, commit, envelope, id_of, message, open_writer, tick


def stream(*numbers: int) -> list[Message]:
    """Messages that carry one event each, of the same number."""
    return [message(number, envelope(number)) for number in numbers]


def ids_of(*seqs: int) -> list[str]:
    return sorted(id_of(envelope(seq)) for seq in seqs)


# --- ids ---------------------------------------------------------------------


def test_the_same_event_in_later_messages_is_stored_once(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    commit(writer, message(1, envelope(1), envelope(2)))
    done = commit(writer, message(2, envelope(2), envelope(3)), message(3, envelope(1), envelope(3)))
    assert dict(done.totals) == {"taken": 4, "stored": 1, "duplicates": 3}
    assert lakekit.all_ids(tmp_path) == ids_of(1, 2, 3)
    lakekit.checked(tmp_path)


def test_the_same_event_twice_in_a_message_is_stored_once(tmp_path: Path) -> None:
    lakekit.store(tmp_path, message(1, envelope(1), envelope(1), envelope(2)))
    assert lakekit.all_ids(tmp_path) == ids_of(1, 2)
    lakekit.checked(tmp_path)


def test_messages_that_come_again_are_dropped(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    commit(writer, *stream(1, 2, 3))
    lakekit.add(writer, *stream(1, 2, 3))
    assert writer.take() is None
    commit(writer, *stream(2, 3, 4, 4, 3))
    assert lakekit.checked(tmp_path).totals["taken"] == 4


def test_sessions_that_overlap_do_not_take_each_other_s_places(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    told = [envelope(n, session_id=session) for n in range(1, 9) for session in ("one", "two")]
    commit(writer, message(1, *told[:10]))
    commit(writer, message(2, *told[6:]))
    commit(writer, message(3, *told))
    assert lakekit.all_ids(tmp_path) == sorted(map(id_of, told))
    lakekit.checked(tmp_path)


def test_another_source_or_other_bytes_are_another_event(tmp_path: Path) -> None:
    told = [envelope(1), envelope(1, source="cdp"), envelope(1, raw="other"), envelope(1, raw=None)]
    lakekit.store(tmp_path, *(message(n, each) for n, each in enumerate(told, 1)))
    assert lakekit.all_ids(tmp_path) == sorted(map(id_of, told))


def test_a_better_reading_of_the_same_bytes_does_not_double_them(tmp_path: Path) -> None:
    """Doc type, date, event and fields may be understood anew; the id stays."""
    other = envelope(1, doc_type="game", ts=lakekit.NOON_US - 5 * lakekit.DAY_US, fields={"price": 2.0}, event="x")
    lakekit.store(tmp_path, message(1, envelope(1)), message(2, other))
    assert lakekit.all_ids(tmp_path) == ids_of(1)


def test_derived_ticks_are_known_by_their_game_whatever_session_told_them(tmp_path: Path) -> None:
    again = tick(5, session_id="another", seq=999, cause="d" * 32, ts=lakekit.NOON_US + lakekit.DAY_US)
    filled = tick(5, fields={**tick(5)["fields"], "filled": True})
    lakekit.store(tmp_path, message(1, tick(4), tick(5)), message(2, again, filled))
    assert lakekit.all_ids(tmp_path) == sorted([id_of(tick(4)), id_of(tick(5)), id_of(filled)])


def test_a_completed_game_is_stored_once_whatever_tick_it_tells(tmp_path: Path) -> None:
    told = [tick(0, doc_type="game", fields={"tick": n}) for n in (5, 900, -3)]
    writer = open_writer(tmp_path)
    for n, each in enumerate(told, 1):
        commit(writer, message(n, each))
    assert lakekit.all_ids(tmp_path) == [id_of(told[0])]
    lakekit.checked(tmp_path)


def test_other_derived_events_are_known_by_their_cause_whatever_session_tells_them(tmp_path: Path) -> None:
    ids_ = [ids.derived_id("player_action", cause, n) for cause in ("c" * 32, "d" * 32) for n in (0, 255)]
    told = [
        tick(number, doc_type="player_action", cause=cause, id=ids.derived_id("player_action", cause, n), game_id=game)
        for number, game in ((1, None), (900, "game-2"))
        for cause in ("c" * 32, "d" * 32)
        for n in (0, 255)
    ]
    writer = open_writer(tmp_path)
    commit(writer, message(1, *told[:4]))
    done = commit(writer, message(2, *(dict(each, session_id="another") for each in told[4:])))
    assert (done.totals["duplicates"], lakekit.all_ids(tmp_path)) == (4, sorted(ids_))
    lakekit.checked(tmp_path)


@pytest.mark.parametrize("compacted", [False, True])
def test_a_second_import_of_a_copy_months_later_adds_nothing(tmp_path: Path, compacted: bool) -> None:
    told = [envelope(n * 200, source="import", session_id="file", ts=lakekit.NOON_US + n) for n in range(1, 40)]
    writer = open_writer(tmp_path)
    for n, each in enumerate(told, 1):
        commit(writer, message(n, each))
    for n in range(40, 60):
        commit(writer, message(n, envelope(n, session_id=f"other {n}")))
    if compacted:
        compact(writer.catalog, all_files=True)
        expire(writer.catalog, keep_seconds=0)
    before = len(lakekit.all_ids(tmp_path))
    done = commit(writer, message(60, *told))
    assert (done.totals["duplicates"], done.totals["stored"], done.files) == (39, 0, 0)
    assert len(lakekit.all_ids(tmp_path)) == before
    lakekit.checked(tmp_path)


def test_a_look_up_reads_only_files_that_could_hold_the_id(tmp_path: Path) -> None:
    """A damaged file that holds other positions does not matter; one that could hold them does."""
    writer = open_writer(tmp_path)
    commit(writer, message(1, *(envelope(n) for n in range(1, 100))))
    damaged = lakekit.live_paths(tmp_path)[0]
    damaged.write_bytes(b"junk")
    commit(writer, message(2, envelope(100)), message(3, envelope(5, session_id="another")))
    with pytest.raises(LakeError, match=f"{damaged.name} is damaged: .*`rugs verify --repair`"):
        commit(writer, message(4, envelope(99)))


def test_headers_count_towards_a_batch_s_size_and_are_not_kept(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for n in range(1, 101):
        lakekit.add(writer, message(n, body=b"\x90", headers={"Junk": "x" * 10_000}))
    assert writer.pending.bytes > 1_000_000
    assert not any(taken.message.headers for taken in writer.pending.taken)


# --- the cursor ----------------------------------------------------------------


def test_a_restarted_writer_goes_on_where_its_last_commit_ended(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    commit(writer, *stream(1, 2))
    lakekit.add(writer, *stream(3))
    assert writer.take() is not None  # taken, but never committed
    writer.close()
    writer = open_writer(tmp_path, at_cursor=stream(2)[0])
    assert (writer.next_seq, writer.cursor.incarnation) == (3, INCARNATION)
    commit(writer, *stream(2, 3, 4))
    assert lakekit.all_ids(tmp_path) == ids_of(1, 2, 3, 4)
    lakekit.checked(tmp_path)


def test_a_lake_that_has_taken_nothing_adopts_the_stream_s_incarnation(tmp_path: Path) -> None:
    assert open_writer(tmp_path, incarnation="b" * 32).cursor.incarnation == "b" * 32
    own = open_writer(tmp_path / "other", incarnation=None).cursor.incarnation
    assert len(own) == 32
    assert own != INCARNATION


def test_an_incarnation_that_the_metadata_lost_is_kept_where_the_message_matches(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    commit(writer, *stream(1, 2))
    for told in (None, INCARNATION, "f" * 32):
        assert writer.meet(told, stream(2)[0]) == writer.cursor
        assert (writer.cursor.incarnation, writer.next_seq) == (INCARNATION, 3)


@pytest.mark.parametrize(
    "found",
    [None, message(3, envelope(99)), message(3, envelope(3), time_us=5), message(2, envelope(2))],
    ids=["nothing there", "another body", "another time", "another number"],
)
def test_a_stream_that_is_not_the_one_known_begins_a_new_incarnation(tmp_path: Path, found: Message | None) -> None:
    writer = open_writer(tmp_path)
    commit(writer, *stream(1, 2, 3))
    cursor = writer.meet(INCARNATION, found)
    assert cursor.incarnation != INCARNATION
    assert (cursor.last_seq, writer.next_seq) == (0, 1)
    # Restored from a backup: 1 and 2 come again, then new events reuse the numbers.
    commit(writer, *stream(1, 2), message(3, envelope(30)), message(4, envelope(40)))
    assert lakekit.all_ids(tmp_path) == ids_of(1, 2, 3, 30, 40)
    gaps = lakekit.select(tmp_path, "SELECT incarnation, first_seq, last_seq, reason FROM gap")
    assert [gap[:3] for gap in gaps] == [(INCARNATION, 4, None)]
    assert "restored, purged or made anew" in gaps[0][3]
    rows = lakekit.select(tmp_path, "SELECT incarnation, stream_seq FROM events WHERE seq IN (3, 30) ORDER BY seq")
    assert rows == [(INCARNATION, 3), (cursor.incarnation, 3)]
    lakekit.checked(tmp_path)


def test_an_incarnation_that_was_left_is_never_entered_again(tmp_path: Path) -> None:
    """Killed between leaving an incarnation and telling the stream, whose metadata names the old one."""
    writer = open_writer(tmp_path)
    commit(writer, *stream(1, 2, 3))
    left = writer.meet(INCARNATION, None).incarnation
    writer.close()
    writer = open_writer(tmp_path, incarnation=INCARNATION)
    assert writer.cursor.incarnation == left
    commit(writer, *stream(1, 2), message(3, envelope(30)))
    assert lakekit.all_ids(tmp_path) == ids_of(1, 2, 3, 30)
    lakekit.checked(tmp_path)


def test_incarnations_follow_one_another(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for life in range(5):
        commit(writer, *stream(1, 2), message(3, envelope(100 + life)))
        writer.meet(writer.cursor.incarnation, None)
    assert lakekit.all_ids(tmp_path) == ids_of(1, 2, *range(100, 105))
    assert len(lakekit.select(tmp_path, "SELECT * FROM gap")) == 5
    lakekit.checked(tmp_path)


def test_a_jump_becomes_a_gap_and_gaps_and_ranges_tile_the_stream(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    commit(writer, *stream(4, 5, 9))
    commit(writer, *stream(10, 20))
    gaps = lakekit.select(tmp_path, "SELECT first_seq, last_seq, reason FROM gap ORDER BY 1")
    assert [gap[:2] for gap in gaps] == [(1, 3), (6, 8), (11, 19)]
    assert all(gap[2] for gap in gaps)
    ranges = lakekit.catalog_rows(tmp_path, "SELECT first_seq, last_seq FROM rugs_range ORDER BY 1")
    assert ranges == [(4, 5), (9, 10), (20, 20)]
    lakekit.checked(tmp_path)


def test_two_streams_have_cursors_of_their_own(tmp_path: Path) -> None:
    first = open_writer(tmp_path)
    second = LakeWriter(LakePaths(tmp_path), "RUGS_EVENTS_1")
    second.meet("b" * 32, None)
    commit(first, *stream(1, 2))
    commit(second, message(1, envelope(50)), message(2, envelope(60)))
    commit(first, *stream(3))
    assert lakekit.all_ids(tmp_path) == ids_of(1, 2, 3, 50, 60)
    lakekit.checked(tmp_path)


def test_rejects_of_a_restored_stream_are_known_again_and_new_ones_are_kept(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    before = [message(1, body=b"junk"), message(2, envelope(1, v=2), envelope(2)), message(3, body=b"junk")]
    commit(writer, *before)
    writer.meet(None, None)
    done = commit(writer, *before[:2], message(3, body=b"junk", time_us=lakekit.NOON_US + 77))
    assert dict(done.totals) == {"taken": 4, "rejected": 1, "duplicates": 3}
    assert lakekit.checked(tmp_path).rows == 5


def test_an_event_that_looks_like_a_rejected_message_does_not_stand_beside_it(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    bad = message(5, body=b"junk")
    session = f"stream:RUGS_EVENTS:5:{bad.time_us}"
    forged = envelope(1, doc_type="reject", source="manual", session_id=session, raw=b"junk")
    commit(writer, message(4, forged))
    assert commit(writer, bad).totals["duplicates"] == 1
    lakekit.checked(tmp_path)


@pytest.mark.parametrize("n", ["9" * 18, "9" * 19, "1:x", "", "0"])
def test_odd_sessions_of_rejects_are_stored(tmp_path: Path, n: str) -> None:
    odd = envelope(1, doc_type="reject", source="manual", session_id=f"stream:x:{n}:1", raw=b"junk")
    lakekit.store(tmp_path, message(1, odd), message(2, odd))
    assert lakekit.checked(tmp_path).rows == 1


def test_rejected_messages_share_one_scope(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    commit(writer, *(message(n, body=b"junk") for n in range(1, 50)))
    scopes = (scope_hash("stream", lakekit.STREAM), held.incarnation_scope(lakekit.INCARNATION), held.ALL)
    assert dict(lakekit.catalog_rows(tmp_path, "SELECT scope, last_pos FROM rugs_scope")) == dict.fromkeys(scopes, 49)


# --- rivals and lost answers ------------------------------------------------------


def test_a_second_writer_supersedes_the_first_which_loses_nothing(tmp_path: Path) -> None:
    first = open_writer(tmp_path)
    commit(first, *stream(1))
    lakekit.add(first, *stream(2, 3))
    pending = first.take()
    assert pending is not None
    second = open_writer(tmp_path, at_cursor=stream(1)[0])
    with pytest.raises(SupersededError, match="another writer"):
        first.commit(pending)
    with pytest.raises(SupersededError):
        first.meet(INCARNATION, None)
    assert lakekit.all_ids(tmp_path) == ids_of(1)
    commit(second, *stream(2, 3))
    with pytest.raises(SupersededError):
        first.commit(pending)
    assert lakekit.all_ids(tmp_path) == ids_of(1, 2, 3)
    second.close()
    first.close()
    open_writer(tmp_path, at_cursor=stream(3)[0]).close()  # moves aside what the first had written
    lakekit.checked(tmp_path)


@pytest.mark.parametrize("happens", [True, False])
def test_a_commit_answered_by_an_error_can_be_tried_again(tmp_path: Path, happens: bool) -> None:
    writer = open_writer(tmp_path)
    commit(writer, *stream(1))
    lakekit.add(writer, *stream(2, 3))
    pending = writer.take()
    assert pending is not None
    lakekit.add(writer, *stream(4))
    writer.catalog.connection = LostAnswer(writer.catalog.connection, happens=happens)  # type: ignore[assignment]
    with pytest.raises(sqlite3.OperationalError):
        writer.commit(pending)
    done = writer.commit(pending)
    assert (done.cursor.last_seq, done.totals["stored"]) == (3, 2)
    again = writer.take()
    assert again is not None
    writer.commit(again)
    assert lakekit.all_ids(tmp_path) == ids_of(1, 2, 3, 4)
    lakekit.checked(tmp_path)  # no file of the first try is left over


def test_a_file_that_vanished_before_its_commit_is_written_again(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    lakekit.add(writer, *stream(1, 2))
    pending = writer.take()
    assert pending is not None
    real = writer.catalog.connection

    class Vanishing(LostAnswer):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql == "BEGIN IMMEDIATE" and self._armed:
                self._armed = False
                for path in LakePaths(tmp_path).data.rglob("*.parquet"):
                    path.unlink()
            return self._real.execute(sql, *values)

    writer.catalog.connection = Vanishing(real, happens=True)  # type: ignore[assignment]
    with pytest.raises(FileVanishedError, match="has gone"):
        writer.commit(pending)
    writer.commit(pending)
    assert lakekit.all_ids(tmp_path) == ids_of(1, 2)
    lakekit.checked(tmp_path)


@pytest.mark.parametrize("which", ["lake.sqlite", "lake.sqlite-wal"])
def test_a_catalog_that_was_replaced_while_open_is_noticed(tmp_path: Path, which: str) -> None:
    """Otherwise commits go to files that nobody will ever find again, and the stream is purged."""
    writer = open_writer(tmp_path)
    commit(writer, *stream(1))
    path = LakePaths(tmp_path).manifests / which
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)
    with pytest.raises(LakeReplacedError, match="restart the writer"):
        commit(writer, *stream(2))


# --- rejects that are fed again ---------------------------------------------------


def reject_ids(root: Path, **options: Any) -> set[str]:
    return {reject.id for reject in list_rejects(root, **options)}


def test_a_reject_fed_again_with_success_is_marked(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    commit(writer, message(1, body=b"broken"))
    (reject,) = reject_ids(tmp_path)
    commit(writer, message(2, envelope(1), headers={HEADER_RETRY: reject}))
    assert reject_ids(tmp_path) == set()
    assert reject_ids(tmp_path, include_done=True) == {reject}


@pytest.mark.parametrize("again", [b"broken", b"\x90"])
def test_a_reject_that_fails_again_stays_on_the_list(tmp_path: Path, again: bytes) -> None:
    writer = open_writer(tmp_path)
    commit(writer, message(1, body=b"broken"))
    (reject,) = reject_ids(tmp_path)
    commit(writer, message(2, body=again, headers={HEADER_RETRY: reject}))
    assert reject in reject_ids(tmp_path)
    lakekit.checked(tmp_path)


@pytest.mark.parametrize("told", ["", "zz", "ab", "a" * 31, "00" * 40, "ab " * 16])
def test_a_malformed_retry_header_marks_nothing(tmp_path: Path, told: str) -> None:
    writer = open_writer(tmp_path)
    commit(writer, message(1, envelope(1), headers={HEADER_RETRY: told}))
    assert lakekit.catalog_rows(tmp_path, "SELECT * FROM rugs_retried") == []
    assert lakekit.all_ids(tmp_path) == ids_of(1)
