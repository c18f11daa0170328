"""The chunks of the lake, scope by scope: what the index holds of it, computed from nothing but its rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from rugs_core.time import date_of
from rugs_discovery.files import without_collector
from rugs_index.candidates import Candidates
from rugs_index.chunk import Chunk, once_each
from rugs_index.chunkers.game import game_chunk
from rugs_index.chunkers.game_facts import GameFacts
from rugs_index.chunkers.player_action import KIND as PLAYER_ACTION
from rugs_index.chunkers.player_action import action_chunks
from rugs_index.chunkers.session import session_chunk
from rugs_index.chunkers.ws_event import Profile, chunk_of_row, content_key
from rugs_index.lake_rows import LakeRows, ScopeRows
from rugs_index.policy import DEFAULT, Policy, Treatment
from rugs_index.rows import StoredRow
from rugs_index.scopes import HOUR_US, Kind, Scope
from rugs_lake.store.positions import Position

_SCOPES: Final = 1000
"""Scopes of one kind that are read at once: each time the lake is opened anew."""
_HELD_BYTES: Final = 64 << 20
"""Bytes of rows that are kept, so that they need not be read a second time."""
_SUMMARISED: Final = frozenset({"game_tick", "game"})
"""Doc types whose rows never get a chunk each."""

Raw = str | bytes | None
Computed = tuple[Scope, list[Chunk]]
"""A scope with all its chunks; none: it has no rows any more."""


class Chunking(NamedTuple):
    """How the rows of the lake become chunks.

    Attributes:
        policy: which events get a chunk each.
        profile: how the texts of events are written.
        waiting: rows that wait for their bytes, at the most, but for those of one scope; changes no chunk.
    """

    policy: Policy = DEFAULT
    profile: Profile = Profile.RUGBUS
    waiting: int = 20_000


CHUNKING: Final = Chunking()


@dataclass(eq=False)
class _Draft:
    """A scope whose rows were read, but for the bytes of some of them.

    Attributes:
        facts: what is known of its game; None for a scope without one.
        kept: rows that get a chunk each; known once the contents of the candidates are.
    """

    scope: Scope
    facts: GameFacts | None
    candidates: Candidates
    actions: list[StoredRow] = field(default_factory=list)
    contents: dict[str, Hashable] = field(default_factory=dict)
    raws: dict[str, Raw] = field(default_factory=dict)
    kept: list[StoredRow] = field(default_factory=list)

    def choose(self) -> None:
        """Choose the rows that get a chunk each, and forget the others."""
        self.kept = self.candidates.chosen(self.contents)
        ids = {row.id for row in self.kept}
        self.raws = {row_id: raw for row_id, raw in self.raws.items() if row_id in ids}

    def chunks(self, events: list[Chunk], snapshots: dict[str, Raw]) -> list[Chunk]:
        """Return all chunks of the scope, given those of its events and the bytes of the game's snapshots."""
        key = self.scope.key
        found = [*events, *action_chunks(key, self.actions, self.facts)]
        if self.facts is not None:
            summary = game_chunk(key, self.facts, lambda row: snapshots.get(row.id))
            found += [] if summary is None else [summary]
        return _settled(found)


def all_scopes(root: Path, position: Position) -> list[Scope]:
    """Return every scope that has rows up to a position, in an order that is always the same.

    Raises:
        LakeAbsentError, LakeUnavailableError, LakeIncompatibleError, FilesGoneError: if the lake cannot be read.
    """
    with LakeRows(root, position) as lake:
        return sorted(lake.scopes())


def chunks_of(
    root: Path, scopes: Iterable[Scope], position: Position, chunking: Chunking = CHUNKING
) -> Iterator[Computed]:
    """Give each of some scopes once, with all its chunks, made of the rows up to a position.

    The same rows give the same chunks, whichever scopes are asked for beside them.

    Args:
        scopes: of any kinds; of a thousand at a time the rows are read.

    Raises:
        LakeAbsentError, LakeUnavailableError, LakeIncompatibleError: if the lake cannot be read.
        FilesGoneError: if files were deleted while they were read: ask again.
    """
    ordered = sorted(set(scopes))
    for kind, read in ((Kind.GAME, _games), (Kind.HOUR, _hours), (Kind.SESSION, _sessions)):
        waiting = iter([scope for scope in ordered if scope.kind is kind])
        while batch := list(islice(waiting, _SCOPES)):
            empty = dict.fromkeys(batch)
            for scope, chunks in read(root, batch, position, chunking):
                del empty[scope]
                yield scope, chunks
            yield from ((scope, []) for scope in empty)


def _games(root: Path, scopes: Sequence[Scope], position: Position, chunking: Chunking) -> Iterator[Computed]:
    with LakeRows(root, position, games=[scope.game_id for scope in scopes]) as lake:
        yield from _computed(lake, lake.of_games(scopes), chunking)


def _hours(root: Path, scopes: Sequence[Scope], position: Position, chunking: Chunking) -> Iterator[Computed]:
    days = [date_of(scope.hour * HOUR_US) for scope in scopes]
    asked = {(scope.source, scope.session_id) for scope in scopes}
    with LakeRows(root, position, sessions=asked, dates=(min(days), max(days))) as lake:
        yield from _computed(lake, lake.of_hours(scopes), chunking)


def _sessions(root: Path, scopes: Sequence[Scope], position: Position, chunking: Chunking) -> Iterator[Computed]:
    def counts(event: str) -> bool:
        return chunking.policy.rule_of(event).treatment is not Treatment.NONE

    with LakeRows(root, position, sessions=[(scope.source, scope.session_id) for scope in scopes]) as lake:
        for scope, found in lake.of_sessions(scopes, counts).items():
            yield scope, _settled(session_chunk(scope.key, facts) for facts in found)


def _computed(lake: LakeRows, rows: ScopeRows, chunking: Chunking) -> Iterator[Computed]:
    """Give scopes with their chunks, some at a time: their rows are read first, and then bytes of the few that count.

    First those bytes by which repeated events are known, then those of the chosen events and of the games' snapshots.
    """
    while computed := _next_computed(lake, rows, chunking):
        yield from computed


def _next_computed(lake: LakeRows, rows: ScopeRows, chunking: Chunking) -> list[Computed]:
    """Return the next scopes with their chunks; none at the end."""
    with without_collector():  # many small values, and no circles: a third of the time goes into looking for them
        drafts = _drafts(rows, chunking)
        _read_contents(lake, drafts)
        for draft in drafts:
            draft.choose()
        return list(_finished(lake, drafts, chunking.profile))


def _drafts(rows: ScopeRows, chunking: Chunking) -> list[_Draft]:
    """Return the drafts of the next scopes; none at the end."""
    drafts: list[_Draft] = []
    waiting = 0
    for scope, each in rows:
        facts = GameFacts(scope.game_id) if scope.kind is Kind.GAME else None
        draft = _Draft(scope, facts, Candidates(chunking.policy))
        for row in each:
            if facts is not None and row.owner is None:
                facts.add(row)
            if row.doc_type in _SUMMARISED:
                continue
            if row.doc_type == PLAYER_ACTION:
                draft.actions.append(row)
            else:
                draft.candidates.add(row)
        draft.candidates.settle()
        drafts.append(draft)
        waiting += len(draft.candidates) + 1
        if waiting >= chunking.waiting:
            break
    return drafts


def _read_contents(lake: LakeRows, drafts: Iterable[_Draft]) -> None:
    """Read what the candidates say that may repeat each other; keep the bytes while they are not many."""
    wanted = {row.id: (draft, row) for draft in drafts for row in draft.candidates.needing_content()}
    held = 0
    for row_id, raw in lake.raws(list(wanted)):
        draft, row = wanted[row_id]
        draft.contents[row_id] = content_key(row._replace(raw=raw))
        held += 0 if raw is None else len(raw)
        if held <= _HELD_BYTES:
            draft.raws[row_id] = raw


def _finished(lake: LakeRows, drafts: Sequence[_Draft], profile: Profile) -> Iterator[Computed]:
    """Give the drafts' scopes with their chunks."""
    kept = {row.id: (place, row) for place, draft in enumerate(drafts) for row in draft.kept}
    looked_into = {
        row.id: place
        for place, draft in enumerate(drafts)
        if draft.facts is not None
        for row in draft.facts.snapshots.values()
    }
    events: list[list[Chunk]] = [[] for _ in drafts]
    snapshots: list[dict[str, Raw]] = [{} for _ in drafts]
    held = {row_id: raw for draft in drafts for row_id, raw in draft.raws.items()}
    unread = [row_id for row_id in kept.keys() | looked_into.keys() if row_id not in held]
    for source in (held.items(), lake.raws(unread)):
        for row_id, raw in source:
            if row_id in kept:
                place, row = kept[row_id]
                key = drafts[place].scope.key
                events[place].append(chunk_of_row(row._replace(raw=raw), profile, scope_key=key))
            if row_id in looked_into:
                snapshots[looked_into[row_id]][row_id] = raw
    for draft, chunks, raws in zip(drafts, events, snapshots, strict=True):
        yield draft.scope, draft.chunks(chunks, raws)


def _settled(chunks: Iterable[Chunk]) -> list[Chunk]:
    """Return chunks in an order that is always the same, each id once: the public one before private ones."""
    return list(once_each(sorted(chunks, key=_order)))


def _order(chunk: Chunk) -> tuple[str, int, str, str]:
    return chunk.owner or "", chunk.metadata.get("ts", 0), chunk.id, str(chunk.metadata.get("event_id", ""))
