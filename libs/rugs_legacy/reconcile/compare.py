"""The comparison itself. Pure: two sorted iterables of rows in, pairs and figures out, in bounded memory.

A row stands at a place, its `key`. Rows of both sides at one place are paired: first those that are the
same by their `identity`, then the others, which differ; what is left over is on one side only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from typing import Any, Final, NamedTuple

Key = tuple[Any, ...]

EXAMPLES: Final = 3
"""Places that are named of each group that differs."""
MOST_GROUPS: Final = 10_000
"""Groups that differ and are named; more are counted."""


class Group(NamedTuple):
    """What rows are counted by. `day` is UTC, `YYYY-MM-DD`; None for what has no time of its own."""

    session: str
    game: str | None
    day: str | None
    event: str


class Row(NamedTuple):
    """One row of a side.

    Attributes:
        key: its place; both sides are sorted by it.
        identity: what it is, if that can be told without looking at its fields.
        fields: key fields by name; None where they are not compared, as for rows that are no sample.
        raw: the hash of its bytes; None where they are not compared.
        where: the place for people.
    """

    key: Key
    identity: str
    group: Group
    fields: dict[str, Any] | None
    raw: str | None
    where: str


class Pair(NamedTuple):
    """A row of the files and the data set's, or one without the other; `differing` names what is not equal."""

    file: Row | None
    dataset: Row | None
    differing: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether both are there and nothing that was compared differs."""
        return self.file is not None and self.dataset is not None and not self.differing


def pairs(files: Iterable[Row], dataset: Iterable[Row]) -> Iterator[Pair]:
    """Pair the rows of two sides, each sorted by key. Rows of a side at one key are held in memory, no others."""
    ours, theirs = groupby(files, _key), groupby(dataset, _key)
    mine, found = next(ours, None), next(theirs, None)
    while mine is not None or found is not None:
        if found is None or (mine is not None and mine[0] < found[0]):
            assert mine is not None  # noqa: S101 - the loop's condition
            yield from _at_one_place([*mine[1]], [])
            mine = next(ours, None)
        elif mine is None or found[0] < mine[0]:
            yield from _at_one_place([], [*found[1]])
            found = next(theirs, None)
        else:
            yield from _at_one_place([*mine[1]], [*found[1]])
            mine, found = next(ours, None), next(theirs, None)


def _key(row: Row) -> Key:
    return row.key


def _at_one_place(files: list[Row], dataset: list[Row]) -> Iterator[Pair]:
    left: list[Row] = []
    by_identity: dict[str, list[Row]] = {}
    for row in dataset:
        by_identity.setdefault(row.identity, []).append(row)
    for row in files:
        same = by_identity.get(row.identity)
        if same:
            other = same.pop(0)
            yield Pair(row, other, _differing(row, other))
        else:
            left.append(row)
    rest = [row for rows in by_identity.values() for row in rows]
    for one, other_one in zip_longest(left, rest):
        if one is None or other_one is None:
            yield Pair(one, other_one, ())
        else:
            yield Pair(one, other_one, _differing(one, other_one) or ("bytes",))


def _differing(file: Row, dataset: Row) -> tuple[str, ...]:
    names: list[str] = []
    if file.identity != dataset.identity:
        names.append("bytes")
    elif file.raw is not None and dataset.raw is not None and file.raw != dataset.raw:
        names.append("raw")
    if file.fields is not None and dataset.fields is not None:
        names += [name for name, value in file.fields.items() if dataset.fields.get(name) != value]
    return tuple(names)


@dataclass
class GroupCount:
    """The figures of one group; `examples` name places of rows that are missing, only there, or differ."""

    files: int = 0
    dataset: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def figures(self) -> tuple[int, int, int, int, int]:
        """The counts, in their order."""
        return self.files, self.dataset, self.missing, self.extra, self.different

    @property
    def differs(self) -> bool:
        """Whether the two sides do not agree."""
        return bool(self.missing or self.extra or self.different)


@dataclass
class Tally:
    """What came out of a comparison.

    `files` and `dataset` count rows; `compared` those whose key fields and bytes were looked at;
    `missing` are in the files only, `extra` in the data set only. `missing_events` names the events
    that a session's files have and the data set has none of. `differences` has the groups that differ.
    """

    files: int = 0
    dataset: int = 0
    compared: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    sessions: int = 0
    games: set[str] = field(default_factory=set)
    days: dict[str, list[int]] = field(default_factory=dict)
    missing_events: list[tuple[str, str]] = field(default_factory=list)
    differences: dict[Group, GroupCount] = field(default_factory=dict)
    unnamed: int = 0
    """Groups that differ beyond `MOST_GROUPS`."""

    @property
    def is_equal(self) -> bool:
        """Whether the two sides agree in all that was compared."""
        return not (self.missing or self.extra or self.different)

    def take(self, compared: Iterable[Pair]) -> None:
        """Count pairs, which come session by session."""
        for session, of_one in groupby(compared, _session):
            self.sessions += 1
            self._take_session(session, of_one)

    def _take_session(self, session: str, compared: Iterable[Pair]) -> None:
        groups: dict[Group, GroupCount] = {}
        for pair in compared:
            row = pair.file or pair.dataset
            assert row is not None  # noqa: S101 - a pair has one
            count = groups.setdefault(row.group, GroupCount())
            self._count(count, pair)
        events: Counter[str] = Counter()
        for group, count in groups.items():
            events[group.event] += count.dataset
            if group.game is not None:
                self.games.add(group.game)
            if group.day is not None:
                day = self.days.setdefault(group.day, [0, 0])
                day[0], day[1] = day[0] + count.files, day[1] + count.dataset
            if count.differs and len(self.differences) < MOST_GROUPS:
                self.differences[group] = count
            elif count.differs:
                self.unnamed += 1
        self.missing_events += [(session, event) for event, there in events.items() if not there]

    def _count(self, count: GroupCount, pair: Pair) -> None:
        row = pair.file or pair.dataset
        assert row is not None  # noqa: S101 - a pair has one
        if pair.file is not None:
            count.files, self.files = count.files + 1, self.files + 1
        if pair.dataset is not None:
            count.dataset, self.dataset = count.dataset + 1, self.dataset + 1
        if pair.file is None:
            count.extra, self.extra = count.extra + 1, self.extra + 1
            what = "only in the data set"
        elif pair.dataset is None:
            count.missing, self.missing = count.missing + 1, self.missing + 1
            what = "not in the data set"
        else:
            self.compared += pair.file.fields is not None
            if not pair.differing:
                return
            count.different, self.different = count.different + 1, self.different + 1
            what = f"differs in {', '.join(pair.differing)}"
        if len(count.examples) < EXAMPLES:
            count.examples.append(f"{row.where}: {what}")


def _session(pair: Pair) -> str:
    row = pair.file or pair.dataset
    assert row is not None  # noqa: S101 - a pair has one
    return row.group.session
