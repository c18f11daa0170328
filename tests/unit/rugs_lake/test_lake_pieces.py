"""What lies above a position: each row once and in order, in pieces of bounded size, and every change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rugs_lake
from rugs_lake.errors import LakeAbsentError
from rugs_lake.maintain.change import remove
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.retention import expire
from rugs_lake.read import pieces
from rugs_lake.read.files import FilesGoneError
from rugs_lake.read.pieces import Piece, Wanted, next_piece
from rugs_lake.store import checkpoints, held, parquet, positions
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.cursor import adopt_incarnation
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.positions import Position
from rugs_lake.write.writer import LakeWriter
from tests.support import lakekit
from tests.support.lakekit import DAY_US, NOON_US, STREAM, commit, envelope, message, open_writer, tick

LIVES = ("1", "2", "3")
ROUNDS = 4


@pytest.fixture
def writer(tmp_path: Path) -> LakeWriter:
    """A writer whose lake has three incarnations of the stream, two doc types and two days, with gaps between."""
    writer = open_writer(tmp_path)
    seq = 0
    for life in LIVES:
        if seq:
            writer.meet(None, None)
            seq = 0
        for number in range(ROUNDS):
            first = seq * 10
            frames = [envelope(first + n, session_id=f"s-{life}") for n in range(1, 4)]
            ticks = [tick(first + n, f"g-{life}", ts=NOON_US - n % 2 * DAY_US) for n in range(5)]
            commit(writer, message(seq + 1, *frames), message(seq + 2 + number % 2, *ticks))
            seq += 2 + number % 2
    return writer


def follow(root: Path, wanted: Wanted = pieces.EVERYTHING, position: Position | None = None) -> list[Piece]:
    """Return all pieces above a position."""
    found = []
    while (piece := next_piece(root, position, wanted)) is not None:
        found.append(piece)
        position = piece.position
    return found


def rows_of(found: list[Piece]) -> list[dict[str, Any]]:
    return [row for piece in found if piece.rows is not None for row in piece.rows.to_pylist()]


def places(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return where rows lie in the stream: each says of which incarnation they are."""
    return [(row["session_id" if row["cause"] is None else "game_id"][2:], row["stream_seq"]) for row in rows]


def forget_held(writer: LakeWriter) -> None:
    """Make the files what they were before the catalog knew which incarnations they hold."""
    with writer.catalog.transaction() as connection:
        connection.execute("DELETE FROM rugs_scope WHERE scope = ?", (held.ALL,))


WAYS: dict[str, Callable[[LakeWriter], object]] = {
    "as written": lambda writer: None,
    "compacted": lambda writer: compact(writer.catalog),
    "from an older program": forget_held,
}


@pytest.mark.parametrize("most", [1, 7, 1000])
@pytest.mark.parametrize("way", WAYS)
def test_each_row_comes_once_in_stream_order_and_in_bounded_pieces(
    writer: LakeWriter, tmp_path: Path, way: str, most: int
) -> None:
    WAYS[way](writer)
    start, *found = follow(tmp_path, Wanted(rows=most))
    assert start == Piece(Position(), starts_over=True)
    rows = rows_of(found)
    assert sorted(row["id"].hex() for row in rows) == lakekit.all_ids(tmp_path)
    assert places(rows) == sorted(places(rows))
    assert [piece.position for piece in found] == sorted({piece.position for piece in found})
    for piece in found:
        if piece.rows is not None and piece.rows.num_rows > most:
            assert len(set(piece.rows["stream_seq"].to_pylist())) == 1  # a message is not cut
    with rugs_lake.open(tmp_path) as lake:
        assert lake.position == found[-1].position
    if most == 1000:
        assert sum(piece.rows is not None for piece in found) == 3  # one of each incarnation


def test_a_piece_has_about_as_many_bytes_as_it_may(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for seq in range(1, 21):
        commit(writer, message(seq, envelope(seq, raw="x" * 100_000)))
    compact(writer.catalog)
    found = follow(tmp_path, Wanted(bytes=500_000))
    sizes = [piece.rows.nbytes for piece in found if piece.rows is not None]
    assert len(sizes) >= 4
    assert max(sizes) < 600_000


def test_whoever_goes_on_from_a_position_gets_the_rest(writer: LakeWriter, tmp_path: Path) -> None:
    whole = follow(tmp_path, Wanted(rows=30))
    compact(writer.catalog)
    expire(writer.catalog, keep_seconds=0)
    for step, piece in enumerate(whole):
        rest = follow(tmp_path, position=piece.position)
        assert rows_of(rest) == rows_of(whole[step + 1 :])


def test_only_the_wanted_doc_types_and_columns_are_read(writer: LakeWriter, tmp_path: Path) -> None:
    end = follow(tmp_path)[-1].position
    for path in lakekit.live_paths(tmp_path):
        if "ws_event" in str(path):
            path.unlink()
    found = follow(tmp_path, Wanted(doc_types=["game_tick"], columns=["tick", "owner"], rows=9))
    assert sorted(rows_of(found)[0]) == ["owner", "tick"]
    assert len(rows_of(found)) == len(LIVES) * ROUNDS * 5
    assert found[-1].position == end


def test_rows_of_files_without_owners_have_them_by_the_rule(tmp_path: Path) -> None:
    lakekit.store(tmp_path, message(1, envelope(1, event="playerUpdate", player_id="ann"), envelope(2)))
    wanted = Wanted(columns=["seq", "owner"])
    expected = [{"seq": 1, "owner": "ann"}, {"seq": 2, "owner": None}]
    assert rows_of(follow(tmp_path, wanted)) == expected
    (path,) = lakekit.live_paths(tmp_path)
    pq.write_table(parquet.read(path).drop_columns(["owner"]), path)
    assert rows_of(follow(tmp_path, wanted)) == expected


def test_a_look_that_finds_nothing_new_reads_no_file(writer: LakeWriter, tmp_path: Path) -> None:
    end = follow(tmp_path)[-1].position
    for path in lakekit.live_paths(tmp_path):
        path.unlink()
    assert next_piece(tmp_path, end) is None


def test_what_comes_twice_is_no_news(writer: LakeWriter, tmp_path: Path) -> None:
    end = follow(tmp_path)[-1].position
    commit(writer, message(end.seq + 1, envelope(1, session_id="s-3")))
    assert next_piece(tmp_path, end) is None
    commit(writer, message(end.seq + 2, envelope(99)))
    (piece,) = follow(tmp_path, position=end)
    assert (piece.position.seq, len(rows_of([piece]))) == (end.seq + 2, 1)


def test_changes_come_behind_the_rows(writer: LakeWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "MOST_CHANGES", 2)
    end = follow(tmp_path)[-1].position
    for game in ("g-2", "g-3", "none"):
        remove(writer.catalog, "removal", ChangeScope(game=game), refuses=True)
    commit(writer, message(end.seq + 1, envelope(99)))
    rows, changes, others = follow(tmp_path, position=end)
    assert (len(rows_of([rows])), rows.position) == (1, end._replace(seq=end.seq + 1))
    assert [[change.number for change in piece.changes] for piece in (changes, others)] == [[1, 2], [3]]
    assert [change.scope and change.scope.game for change in changes.changes] == ["g-2", "g-3"]
    assert others.position == rows.position._replace(change=3)


def test_a_lost_file_starts_everything_over(writer: LakeWriter, tmp_path: Path) -> None:
    end = follow(tmp_path)[-1].position
    lakekit.live_paths(tmp_path)[0].unlink()
    lakekit.checked(tmp_path, repair=True)
    start, *found = follow(tmp_path, position=end)
    assert start == Piece(Position(change=1), starts_over=True)
    assert len(rows_of(found)) == len(lakekit.all_ids(tmp_path))
    assert found[-1].position == end._replace(change=1)


@pytest.mark.parametrize("ahead", [{"seq": 99}, {"incarnation": 9}, {"change": 1}])
def test_a_position_that_the_lake_never_had_starts_over(
    writer: LakeWriter, tmp_path: Path, ahead: dict[str, int]
) -> None:
    """The catalog was restored from a backup."""
    end = follow(tmp_path)[-1].position
    assert next_piece(tmp_path, end._replace(**ahead)) == Piece(Position(), starts_over=True)


def test_files_that_go_while_they_are_read_are_read_out_of_others(
    writer: LakeWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = parquet.read

    def too_late(*args: Any) -> pa.Table:
        monkeypatch.undo()
        compact(writer.catalog)
        expire(writer.catalog, keep_seconds=0)
        return read(*args)

    expected = rows_of(follow(tmp_path))
    monkeypatch.setattr(parquet, "read", too_late)
    with pytest.raises(FilesGoneError):
        next_piece(tmp_path, Position())
    assert rows_of(follow(tmp_path, position=Position())) == expected


def test_where_there_is_no_lake_there_is_no_piece(tmp_path: Path) -> None:
    with pytest.raises(LakeAbsentError):
        next_piece(tmp_path, None)
    lakekit.store(tmp_path)
    assert follow(tmp_path) == [Piece(Position(), starts_over=True)]


# --- the order of incarnations ----------------------------------------------------


def test_incarnations_are_numbered_as_they_begin(writer: LakeWriter) -> None:
    found = positions.incarnations(writer.catalog.connection, STREAM)
    assert list(found) == sorted(found)
    assert len(found) == 4  # the one that was made up before the stream said its own took nothing
    assert positions.incarnations(writer.catalog.connection, "other") == {}


def test_one_that_begins_again_before_anything_was_taken_gets_the_last_number(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    second, third = "b" * 32, "c" * 32
    for incarnation in (second, third, second):
        writer.cursor = adopt_incarnation(writer.catalog, writer.cursor, incarnation)
    assert list(positions.incarnations(writer.catalog.connection, STREAM).values())[-2:] == [third, second]


def test_a_lake_from_before_numbers_its_incarnations_in_order(writer: LakeWriter, tmp_path: Path) -> None:
    expected = rows_of(follow(tmp_path, Wanted(rows=40)))
    with writer.catalog.transaction() as connection:
        for table in ("rugs_incarnation", "rugs_follower"):
            connection.execute(f"DROP TABLE {table}")
    assert rows_of(follow(tmp_path, Wanted(rows=40))) == expected
    before = positions.incarnations(writer.catalog.connection, STREAM)
    assert checkpoints.load(tmp_path, "f", "store") is None
    LakeWriter(LakePaths(tmp_path), STREAM).close()
    assert positions.incarnations(writer.catalog.connection, STREAM) == before
    assert list(before) == [1, 2, 3]
    assert rows_of(follow(tmp_path, Wanted(rows=40))) == expected


def test_a_snapshot_has_the_position_that_a_follower_had_then(writer: LakeWriter, tmp_path: Path) -> None:
    with rugs_lake.open(tmp_path) as lake:
        before = lake.snapshot, lake.position
    commit(writer, message(before[1].seq + 1, envelope(99)))
    remove(writer.catalog, "removal", ChangeScope(game="g-2"), refuses=True)
    with rugs_lake.open(tmp_path, at_snapshot=before[0]) as lake:
        assert (lake.snapshot, lake.position) == before
    with rugs_lake.open(tmp_path) as lake:
        assert lake.position == before[1]._replace(seq=before[1].seq + 1, change=1)


# --- checkpoints ------------------------------------------------------------------


def test_a_checkpoint_is_kept_for_one_store_through_all_that_happens_to_the_lake(
    writer: LakeWriter, tmp_path: Path
) -> None:
    position = Position(2, 3, 0)
    checkpoints.save(tmp_path, "index", "store-1", Position(1, 1, 0))
    checkpoints.save(tmp_path, "index", "store-1", position)
    checkpoints.save(tmp_path, "other", "store-1", Position(1, 1, 0))
    compact(writer.catalog)
    expire(writer.catalog, keep_seconds=0)
    assert checkpoints.load(tmp_path, "index", "store-1") == position
    assert checkpoints.load(tmp_path, "index", "store-2") is None
    assert checkpoints.load(tmp_path, "none", "store-1") is None
    lakekit.checked(tmp_path)


def test_there_is_no_checkpoint_without_a_lake(tmp_path: Path) -> None:
    with pytest.raises(LakeAbsentError):
        checkpoints.load(tmp_path, "f", "s")
    with pytest.raises(LakeAbsentError):
        checkpoints.save(tmp_path, "f", "s", Position())
