"""The comparison itself. Pure: two sorted iterables of rows in, pairs and figures out, in bounded memory.

A row stands at a place, its `key`. Rows of both sides at one place are paired: first those that are the
same by their `identity`, then the others, which differ; what is left over is on one side only.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from typing import Any, Final, NamedTuple

Key = tuple[Any, ...]

MOVED: Final = "place"
"""What differs where the same bytes stand elsewhere."""
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
        completed: of the data set's side: a line that was cut off, and stands there whole as well.
        recent: of the files' side: so new that the data set cannot be expected to have it.
    """

    key: Key
    identity: str
    group: Group
    fields: dict[str, Any] | None
    raw: str | None
    where: str
    completed: bool = False
    recent: bool = False


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


def pairs_by_content(files: Iterable[Row], dataset: Iterable[Row]) -> Iterator[Pair]:
    """Pair the rows of one session that differs: what stands elsewhere is moved, and not missing.

    Rows of equal bytes are paired wherever they stand, in their order; so one line that has another
    length differs, and those behind it are moved. Of both sides, what has no equal is held in memory.
    """
    left: list[Row] = []
    found: dict[str | None, deque[Row]] = {}
    for pair in pairs(files, dataset):
        if pair.file is None or pair.dataset is None or "bytes" in pair.differing:
            if pair.file is not None:
                left.append(pair.file)
            if pair.dataset is not None:
                found.setdefault(pair.dataset.raw, deque()).append(pair.dataset)
        else:
            yield pair
    unlike: list[Row] = []
    for row in left:
        same = found.get(row.raw)
        if same:
            yield Pair(row, same.popleft(), (MOVED,))
        else:
            unlike.append(row)
    yield from pairs(sorted(unlike, key=_key), sorted((row for rows in found.values() for row in rows), key=_key))


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
class Figures:
    """How many rows the two sides have, and how many of these do not agree.

    `files` and `dataset` count rows; `missing` are in the files only, `extra` in the data set only, `different`
    have other key fields or bytes, `moved` have the same bytes at another place. `completed` lines, which the data
    set has cut off and whole, are whole in the files: the cut ones are not counted as rows. Nor are `recent` rows of
    the files, which the data set does not have yet.
    """

    files: int = 0
    dataset: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    moved: int = 0
    completed: int = 0
    recent: int = 0

    @property
    def figures(self) -> tuple[int, int, int, int, int, int]:
        """The counts that a table shows, in their order."""
        return self.files, self.dataset, self.missing, self.extra, self.different, self.moved

    @property
    def differs(self) -> bool:
        """Whether the two sides do not agree."""
        return bool(self.missing or self.extra or self.different or self.moved)

    def add(self, other: Figures) -> None:
        """Count what the other has counted, too."""
        self.files += other.files
        self.dataset += other.dataset
        self.missing += other.missing
        self.extra += other.extra
        self.different += other.different
        self.moved += other.moved
        self.completed += other.completed
        self.recent += other.recent


@dataclass
class GroupCount(Figures):
    """The figures of one group; `examples` name places of rows that are missing, only there, or differ."""

    examples: list[str] = field(default_factory=list)


@dataclass
class Tally(Figures):
    """What came out of a comparison.

    `compared` counts the rows whose key fields and bytes were looked at. `missing_events` names the events
    that a session's files have and the data set has none of. `differences` has the groups that differ, and
    `unnamed` counts those beyond `MOST_GROUPS`.
    """

    compared: int = 0
    sessions: int = 0
    unnamed: int = 0
    games: set[str] = field(default_factory=set)
    days: dict[str, list[int]] = field(default_factory=dict)
    missing_events: list[tuple[str, str]] = field(default_factory=list)
    differences: dict[Group, GroupCount] = field(default_factory=dict)

    @property
    def is_equal(self) -> bool:
        """Whether the two sides agree in all that was compared."""
        return not self.differs

    def take(self, compared: Iterable[Pair], again: list[str] | None = None) -> None:
        """Count pairs, which come session by session.

        Where `again` is given, sessions that differ are named there, and not counted.
        """
        for session, of_one in groupby(compared, session_of):
            counted: dict[Group, GroupCount] = {}
            looked_at = 0
            for pair in of_one:
                looked_at += _count(counted, pair)
            if again is not None and any(count.differs for count in counted.values()):
                again.append(session)
            else:
                self.compared += looked_at
                self._add(session, counted)

    def _add(self, session: str, counted: Mapping[Group, GroupCount]) -> None:
        self.sessions += 1
        there: Counter[str] = Counter()
        for group, count in counted.items():
            there[group.event] += count.dataset + count.completed + count.recent
            self.add(count)
            if group.game is not None:
                self.games.add(group.game)
            if group.day is not None:
                day = self.days.setdefault(group.day, [0, 0])
                day[0], day[1] = day[0] + count.files, day[1] + count.dataset
            if count.differs and len(self.differences) < MOST_GROUPS:
                self.differences[group] = count
            elif count.differs:
                self.unnamed += 1
        self.missing_events += [(session, event) for event, count in there.items() if not count]


def _count(counted: dict[Group, GroupCount], pair: Pair) -> bool:
    """Count a pair in its groups; return whether its key fields or bytes were looked at.

    What differs may be of one group in the file, and of another in the data set: each row counts in its own.
    """
    file, dataset = pair.file, pair.dataset
    if file is None and dataset is not None and dataset.completed:
        counted.setdefault(dataset.group, GroupCount()).completed += 1
        return False
    if dataset is None and file is not None and file.recent:
        counted.setdefault(file.group, GroupCount()).recent += 1
        return False
    if dataset is not None:
        counted.setdefault(dataset.group, GroupCount()).dataset += 1
    if file is None:
        assert dataset is not None  # noqa: S101 - a pair has one
        count, row, what = counted[dataset.group], dataset, "only in the data set"
        count.extra += 1
    else:
        count, row = counted.setdefault(file.group, GroupCount()), file
        count.files += 1
        if dataset is None:
            what = "not in the data set"
            count.missing += 1
        elif not pair.differing:
            return file.raw is not None or file.fields is not None
        else:
            what = f"differs in {', '.join(pair.differing)}"
            if pair.differing == (MOVED,):
                count.moved += 1
            else:
                count.different += 1
    if len(count.examples) < (1 if pair.differing == (MOVED,) else EXAMPLES):  # one that moved stands for all
        count.examples.append(f"{row.where}: {what}")
    return False


def session_of(pair: Pair) -> str:
    """Return the session that a pair is counted in."""
    row = pair.file or pair.dataset
    assert row is not None  # noqa: S101 - a pair has one
    return row.group.session
