"""A writer and a compactor as real processes, for tests that kill them.

``python -m tests.support.lakeproc write ROOT MESSAGES ACKS`` takes a made-up stream into the lake,
a few messages a commit, and appends the sequence of each commit that returned to the file
ACKS. ``compact ROOT`` compacts and expires until it is killed or nothing is left to do. ``remove ROOT GAME``
removes a game for good; ``shift ROOT`` moves every tick to the next day.

The stream is a function of the sequence alone, so a restarted process reads the same.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any, Final

from rugs_core.time import from_us
from rugs_lake.maintain import retention
from rugs_lake.maintain.change import change
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.removal import remove_scope
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.cursor import SupersededError
from rugs_lake.store.paths import LakePaths
from rugs_lake.write.writer import LakeWriter
from rugs_proto.message import Message
from tests.support import lakekit
from tests.support.lakekit import DAY_US, NOON_US, envelope, id_of, import_headers, tick

SUPERSEDED: Final = 3
PER_COMMIT: Final = 4
RUN: Final = "9" * 32


def told(seq: int) -> list[dict[str, Any]]:
    """Return the envelopes of a message: several kinds and days, some told before, some broken."""
    if seq % 7 == 0:
        return told(seq - 3)  # the same events in another message
    if seq % 3 == 0:
        return [tick(seq * 10 + n, game=f"game-{seq % 2}", ts=NOON_US + seq) for n in range(4)]
    day = -(seq % 2) * 40
    events = [envelope(seq * 10 + n, ts=NOON_US + day * DAY_US, session_id=f"session-{seq % 4}") for n in range(5)]
    return [*events, envelope(seq * 10 + 9, v=9)] if seq % 5 == 0 else events


def stream_message(seq: int) -> Message:
    """Return the stream's message of a sequence; all but a few belong to one import run."""
    return lakekit.message(seq, *told(seq), headers=import_headers(RUN, seq))


def expected_ids(last_seq: int) -> set[str]:
    """Return the ids of all good events up to a sequence."""
    return {id_of(content) for seq in range(1, last_seq + 1) for content in told(seq) if content["v"] == 1}


def counted_ids(last_seq: int) -> list[str]:
    """Return the ids, doubled ones too, that an import run counts: what is derived from a record, that stands for."""
    told_all = (content for seq in range(1, last_seq + 1) for content in told(seq))
    return [id_of(content) for content in told_all if content["v"] == 1 and content.get("cause") is None]


def expected_rejects(last_seq: int) -> int:
    """Return how many events up to a sequence are broken."""
    return sum(content["v"] != 1 for seq in range(1, last_seq + 1) for content in told(seq))


def write(root: Path, messages: int, acks: Path) -> int:
    """Take the stream into the lake up to a sequence; return the exit code."""
    writer = LakeWriter(LakePaths(root), lakekit.STREAM)
    last = writer.cursor.last_seq
    writer.meet(lakekit.INCARNATION, stream_message(last) if last else None)
    handle = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while writer.next_seq <= messages:
            first = writer.next_seq
            for seq in range(first, min(first + PER_COMMIT, messages + 1)):
                lakekit.add(writer, stream_message(seq))
            pending = writer.take()
            assert pending is not None
            while True:
                try:
                    done = writer.commit(pending)
                    break
                except (OSError, sqlite3.OperationalError) as error:
                    print(f"trying again: {error}", file=sys.stderr)
            os.write(handle, f"{done.cursor.last_seq}\n".encode())
    except SupersededError:
        return SUPERSEDED
    finally:
        writer.close()
        os.close(handle)
    return 0


def compact_all(root: Path) -> int:
    """Compact and expire until nothing is left to do; return the exit code."""
    while True:
        with Catalog(LakePaths(root)) as catalog:
            done = compact(catalog)
            retention.expire(catalog, keep_seconds=0)
        if done.files_before == 0:
            return 0


def remove_game(root: Path, game: str) -> int:
    """Remove a game's rows for good; return the exit code."""
    with Catalog(LakePaths(root)) as catalog:
        remove_scope(catalog, ChangeScope(game=game))
    return 0


def shift_ticks(root: Path) -> int:
    """Move the ticks that are on their first day to the next one; return the exit code."""
    today = from_us(NOON_US).date()
    with Catalog(LakePaths(root)) as catalog:
        scope = ChangeScope(doc_type="game_tick", dates=(today, today))
        change(catalog, "corrected", scope, lambda table: lakekit.shifted(table, DAY_US))
    return 0


def main() -> int:
    """Do what the arguments say."""
    match sys.argv[1:]:
        case ["write", root, messages, acks]:
            return write(Path(root), int(messages), Path(acks))
        case ["compact", root]:
            return compact_all(Path(root))
        case ["remove", root, game]:
            return remove_game(Path(root), game)
        case ["shift", root]:
            return shift_ticks(Path(root))
    return 2


if __name__ == "__main__":
    sys.exit(main())
