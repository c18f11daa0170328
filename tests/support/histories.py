"""Histories of a lake: what happens to it by chance, and a follower that is killed again and again meanwhile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from rugs_lake.maintain.change import change, remove
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.lost import give_up
from rugs_lake.maintain.retention import expire
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.paths import LakePaths
from rugs_lake.write.writer import LakeWriter, new_incarnation
from rugs_proto.message import Message
from tests.support.lakekit import DAY_US, NOON_US, STREAM, commit, envelope, message, open_writer, state, tick

SESSIONS: Final = ("s1", "s2", "s3")
GAMES: Final = ("g1", "g2", "g3")
SCOPES: Final = (
    *(ChangeScope(game=game) for game in GAMES),
    *(ChangeScope(session=("public_ws", session)) for session in SESSIONS),
    *(ChangeScope(doc_type=doc_type) for doc_type in ("game_tick", "ws_event", "server_state", "reject")),
    ChangeScope(imported=True, doc_type="ws_event"),
)


def random_envelope(chance: Random) -> dict[str, Any]:
    """Return an event of one of a few sessions and games, at any place there, mostly of today."""
    number, session, game = chance.randint(1, 30), chance.choice(SESSIONS), chance.choice(GAMES)
    about: dict[str, Any] = {"session_id": session, "ts": NOON_US - chance.choice([0, 0, 0, 300]) * DAY_US}
    return chance.choice(
        [
            envelope(number, game_id=game, **about),
            envelope(number, source="import", **about),
            tick(number, game, seq=number, **about),
            state(number, seq=number, game_id=game, **about),
            envelope(number, v=9),
        ]
    )


def corrected(table: pa.Table) -> pa.Table:
    """Return rows with another price and, of frames, another game."""
    places = {name: table.schema.get_field_index(name) for name in ("price", "game_id")}
    price = pc.add(pc.coalesce(table["price"], 1.0), 0.5)
    is_frame = pc.equal(table["doc_type"], "ws_event")
    game = pc.if_else(is_frame, pc.replace_substring(table["game_id"], "g1", "g2"), table["game_id"])
    table = table.set_column(places["price"], table.schema.field("price"), price)
    return table.set_column(places["game_id"], table.schema.field("game_id"), game)


class History(ABC):
    """A lake with its writer, what happens to it by chance, and a follower of it that is killed again and again."""

    def __init__(self, folder: Path, chance: Random) -> None:
        self.root = folder / "lake"
        self.chance = chance
        self.writer: LakeWriter = open_writer(self.root)
        self.seq = 0
        self.last: Message | None = None
        self.steps: list[str] = []

    def run(self) -> None:
        """Let things happen, and check what becomes of them."""
        try:
            for _ in range(self.chance.randint(8, 16)):
                (name,) = self.chance.choices(list(STEPS), list(STEPS.values()))
                self.steps.append(getattr(self, name)() or name)
            self.check()
        except Exception as error:
            error.add_note(f"history: {', '.join(self.steps)}")
            raise
        finally:
            self.writer.close()

    def take(self) -> str:
        """Commit some messages of one or several events, some behind a gap."""
        sent = []
        for _ in range(self.chance.randint(1, 5)):
            first, *others = (random_envelope(self.chance) for _ in range(self.chance.randint(1, 4)))
            alike = [other for other in others if other["doc_type"] == first["doc_type"]]
            self.seq += self.chance.choice([1, 1, 1, 3])
            sent.append(message(self.seq, first, *alike))
        self.last = sent[-1]
        totals = commit(self.writer, *sent).totals
        return f"take {dict(totals)}"

    def begin_stream_anew(self) -> None:
        """Lose the stream: another one begins, with the same sequences."""
        self.writer.meet(new_incarnation(), None)
        self.seq, self.last = 0, None

    def restart_writer(self) -> None:
        """Close the writer and start another."""
        self.writer.close()
        self.writer = LakeWriter(LakePaths(self.root), STREAM)
        self.writer.meet(None, self.last)

    def compact(self) -> None:
        """Merge all files."""
        compact(self.writer.catalog)

    def expire(self) -> None:
        """Forget all old snapshots, and delete their files."""
        expire(self.writer.catalog, keep_seconds=0)

    def lose_a_file(self) -> None:
        """Lose the newest file, and give it up."""
        query = "SELECT path FROM ducklake_data_file WHERE end_snapshot IS NULL ORDER BY data_file_id DESC LIMIT 1"
        for (name,) in self.writer.catalog.all(query):
            (self.writer.catalog.paths.data / name).unlink()
            give_up(self.writer.catalog, [name])

    def correct(self) -> str:
        """Rewrite the rows of a scope."""
        scope = self.chance.choice(SCOPES)
        return f"correct {change(self.writer.catalog, 'corrected', scope, corrected).rows} of {scope.as_dict()}"

    def remove(self) -> str:
        """Remove the rows of a scope for good."""
        scope = self.chance.choice(SCOPES)
        done = remove(self.writer.catalog, "removal", scope, refuses=self.chance.random() < 0.3)
        return f"remove {done.rows} of {scope.as_dict()}"

    @abstractmethod
    def follow(self) -> str:
        """Go on from the checkpoint, and be killed after some steps or at the end."""

    @abstractmethod
    def lose_the_store(self) -> None:
        """Lose what the follower has computed."""

    @abstractmethod
    def check(self) -> None:
        """Check that the follower that goes on, one that starts from nothing, and the lake's rows agree."""


STEPS: Final = {
    "take": 6, "follow": 6, "correct": 3, "remove": 2, "compact": 2, "expire": 1, "begin_stream_anew": 2,
    "restart_writer": 1, "lose_a_file": 1, "lose_the_store": 1,
}  # fmt: skip
"""What may happen, and how often it does."""


def run(history: Callable[[Path, Random], History], numbers: range, folder: Path) -> Counter[str]:
    """Run the histories with these numbers; return how often what happened."""
    happened: Counter[str] = Counter()
    for number in numbers:
        one = history(folder / str(number), Random(number))
        one.run()
        happened.update(one.steps)
    return happened
