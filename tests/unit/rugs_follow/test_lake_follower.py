"""A follower of the lake comes to the same result whatever happened, in whatever order, and wherever it was killed."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from rugs_lake.maintain.change import change, remove
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.lost import give_up
from rugs_lake.maintain.retention import expire
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.paths import LakePaths
from rugs_lake.write.writer import LakeWriter, new_incarnation
from rugs_proto.message import Message
from tests.support.examples import examples
from tests.support.followkit import SmallFollower, figures, read_rows
from tests.support.lakekit import DAY_US, NOON_US, STREAM, commit, envelope, message, open_writer, state, tick

HISTORIES = 1_000
BLOCKS = 20

SESSIONS = st.sampled_from(["s1", "s2", "s3"])
GAMES = st.sampled_from(["g1", "g2", "g3"])
TIMES = st.sampled_from([0, 0, 0, -300]).map(lambda day: NOON_US + day * DAY_US)
NUMBERS = st.integers(1, 20)
ENVELOPES = st.one_of(
    st.builds(lambda n, s, g, ts: envelope(n, session_id=s, game_id=g, ts=ts), NUMBERS, SESSIONS, GAMES, TIMES),
    st.builds(lambda n, s, ts: envelope(n, session_id=s, source="import", ts=ts), NUMBERS, SESSIONS, TIMES),
    st.builds(lambda n, s, g, ts: tick(n, g, seq=n, session_id=s, ts=ts), NUMBERS, SESSIONS, GAMES, TIMES),
    st.builds(lambda n, s, g, ts: state(n, seq=n, session_id=s, game_id=g, ts=ts), NUMBERS, SESSIONS, GAMES, TIMES),
    st.builds(lambda n: envelope(n, v=9), NUMBERS),
)
SCOPES = st.one_of(
    st.builds(lambda game: ChangeScope(game=game), GAMES),
    st.builds(lambda session: ChangeScope(session=("public_ws", session)), SESSIONS),
    st.builds(lambda session: ChangeScope(session=("import", session)), SESSIONS),
    st.builds(lambda doc_type: ChangeScope(doc_type=doc_type), st.sampled_from(["game_tick", "ws_event", "reject"])),
)


def corrected(table: pa.Table) -> pa.Table:
    """Return rows with another price and, of frames, another game."""
    places = {name: table.schema.get_field_index(name) for name in ("price", "game_id")}
    price = pc.add(pc.coalesce(table["price"], 1.0), 0.5)
    is_frame = pc.equal(table["doc_type"], "ws_event")
    game = pc.if_else(is_frame, pc.replace_substring(table["game_id"], "g1", "g2"), table["game_id"])
    table = table.set_column(places["price"], table.schema.field("price"), price)
    return table.set_column(places["game_id"], table.schema.field("game_id"), game)


class History:
    """A lake with its writer, and a follower of it that is killed again and again."""

    def __init__(self, root: Path) -> None:
        self.root = root / "lake"
        self.path = root / "store.sqlite"
        self.writer: LakeWriter = open_writer(self.root)
        self.seq = 0
        self.last: Message | None = None
        self.killed: Counter[str] = Counter()

    def take(self, told: list[tuple[dict[str, Any], bool, int]]) -> None:
        """Commit envelopes, each in a message of its own or together with the one before, some behind a gap."""
        messages: list[list[dict[str, Any]]] = []
        seqs: list[int] = []
        for content, is_beside, skipped in told:
            if is_beside and messages and messages[-1][0]["doc_type"] == content["doc_type"]:
                messages[-1].append(content)
            else:
                self.seq += 1 + skipped
                messages.append([content])
                seqs.append(self.seq)
        sent = [message(seq, *contents) for seq, contents in zip(seqs, messages, strict=True)]
        commit(self.writer, *sent)
        self.last = sent[-1]

    def begin_stream_anew(self) -> None:
        """Lose the stream: another one begins, with the same sequences."""
        self.writer.meet(new_incarnation(), None)
        self.seq, self.last = 0, None

    def restart_writer(self) -> None:
        self.writer.close()
        self.writer = LakeWriter(LakePaths(self.root), STREAM)
        self.writer.meet(None, self.last)

    def compact(self) -> None:
        compact(self.writer.catalog)

    def expire(self) -> None:
        expire(self.writer.catalog, keep_seconds=0)

    def lose_a_file(self) -> None:
        query = "SELECT path FROM ducklake_data_file WHERE end_snapshot IS NULL ORDER BY data_file_id DESC LIMIT 1"
        for (name,) in self.writer.catalog.all(query):
            (self.writer.catalog.paths.data / name).unlink()
            give_up(self.writer.catalog, [name])

    def lose_the_store(self) -> None:
        self.path.unlink(missing_ok=True)

    def correct(self, scope: ChangeScope) -> None:
        change(self.writer.catalog, "corrected", scope, corrected)

    def remove(self, scope: ChangeScope, refuses: bool) -> None:
        remove(self.writer.catalog, "removal", scope, refuses=refuses)

    def follow(self, steps: int, rows: int) -> None:
        """Go on from the checkpoint, and be killed after some steps."""
        last = "nothing"
        follower = SmallFollower(self.root, self.path, rows=rows)
        for step in itertools.islice(follower.steps(), steps):
            last = step
        self.killed[last] += 1

    def check(self) -> None:
        """The follower that goes on, one that starts from nothing, and a query over the whole lake agree."""
        expected = figures(read_rows(self.root))
        assert SmallFollower(self.root, self.path.with_name("new.sqlite")).run() == expected
        assert SmallFollower(self.root, self.path, rows=50).run() == expected
        self.writer.close()


PLAIN: list[Callable[[History], None]] = [
    History.begin_stream_anew, History.restart_writer, History.compact, History.expire, History.lose_a_file,
    History.lose_the_store,
]  # fmt: skip
TOLD = st.lists(st.tuples(ENVELOPES, st.booleans(), st.sampled_from([0, 0, 0, 2])), min_size=1, max_size=8)
STEPS = st.one_of(
    st.builds(lambda told: lambda history: history.take(told), TOLD),
    st.builds(lambda told: lambda history: history.take(told), TOLD),
    st.builds(
        lambda steps, rows: lambda history: history.follow(steps, rows), st.integers(1, 14), st.sampled_from([1, 4, 99])
    ),
    st.builds(lambda scope: lambda history: history.correct(scope), SCOPES),
    st.builds(lambda scope, refuses: lambda history: history.remove(scope, refuses), SCOPES, st.booleans()),
    st.sampled_from(PLAIN),
)


def run(steps: list[Callable[[History], None]], killed: Counter[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="follow-") as folder:
        history = History(Path(folder))
        for step in steps:
            step(history)
        history.check()
        killed.update(history.killed)


def histories(count: int, which: int) -> Counter[str]:
    """Try so many random histories; return how often a follower was killed behind which step."""
    killed: Counter[str] = Counter()

    @seed(which)
    @given(steps=st.lists(STEPS, min_size=4, max_size=12))
    @settings(deadline=None, max_examples=count, suppress_health_check=list(HealthCheck))
    def each(steps: list[Callable[[History], None]]) -> None:
        run(steps, killed)

    each()
    return killed


@pytest.mark.slow
def test_a_follower_comes_to_what_one_that_starts_from_nothing_does() -> None:
    histories(examples(24), 0)


@pytest.mark.matrix
@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", range(1, BLOCKS + 1))
def test_a_follower_killed_in_a_thousand_histories(which: int) -> None:
    killed = histories(HISTORIES // BLOCKS, which)
    print(f"{HISTORIES // BLOCKS} histories, killed behind {dict(killed)}: same digest as from nothing")
    assert killed.keys() >= {"read", "computed", "stored", "saved"}
