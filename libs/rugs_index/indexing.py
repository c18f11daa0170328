"""The index of a data root: brought up to what the lake has, built anew beside itself, and proven.

Rows and changes above the checkpoint make scopes dirty; each is computed again as a whole and replaced. The checkpoint
is saved when all of them are in the table. So whatever is killed when, and however rows come, leads to what a rebuild
comes to. Several processes may work at one index: each update holds it from reading the checkpoint to saving it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from rugs_core.files import make_folder
from rugs_core.locks import lock
from rugs_discovery.current import end_of
from rugs_discovery.meanings import Meanings
from rugs_discovery.summary import Summary
from rugs_index.brought import brought_scopes
from rugs_index.chunk import Chunk
from rugs_index.chunkers.event import SOURCE as DISCOVERY
from rugs_index.discovery import discovery_chunks
from rugs_index.documents import PREFIX as DOCUMENT_PREFIX
from rugs_index.documents import Documents
from rugs_index.lake import CHUNKING, Chunking, Computed, all_scopes, chunks_of
from rugs_index.policy import DEFAULT as POLICY
from rugs_index.scopes import COLUMNS, Scope, dirty_by_change, dirty_by_rows
from rugs_index.table.digest import Difference, difference, digest
from rugs_index.table.errors import IndexAbsentError, IndexBusyError, IndexDamagedError, IndexIncompatibleError
from rugs_index.table.identity import IndexIdentity
from rugs_index.table.indexes import keep_optimised
from rugs_index.table.live import LiveIndex
from rugs_index.table.paths import IndexPaths
from rugs_index.table.rebuild import Rebuild
from rugs_index.table.row import Row
from rugs_index.table.store import IndexStore
from rugs_index.vectors import Vectors
from rugs_lake.read.pieces import Piece, Wanted, next_piece
from rugs_lake.store import checkpoint_file
from rugs_lake.store.positions import Position

CHUNKER: Final = "1"
"""Version of the chunkers. Raise it when they make other chunks of the same rows: the index is then built anew."""
FOLLOWER: Final = "vector_index"
"""The follower's name: its checkpoint is `manifests/vector_index_checkpoint.json`."""

_WANTED: Final = Wanted(columns=COLUMNS, rows=200_000)
_FLUSH_SCOPES: Final = 5_000
"""Dirty scopes that are enough for a flush; a piece may bring more."""
_BATCH: Final = 1_000
"""Chunks that are embedded and written at once."""
_ATTEMPTS: Final = 3

Progress = Callable[[int, int], None]
Discovery = tuple[Summary, Meanings]
Chunks = tuple[str, list[Chunk]]
"""The key of a scope, with all its chunks."""


@dataclass
class Done:
    """What an update or a rebuild did.

    Attributes:
        rebuilt: whether everything was built anew.
        scopes: how many were computed.
        written, deleted, unchanged: chunks of the table.
        position: up to where the table now has what the lake has.
        embedded, cached, skipped: texts that were embedded, that had been before, and that cannot be.
        skipped_documents: documents that could not be read, with the reason.
    """

    rebuilt: bool = False
    scopes: int = 0
    written: int = 0
    deleted: int = 0
    unchanged: int = 0
    embedded: int = 0
    cached: int = 0
    skipped: int = 0
    position: Position | None = None
    skipped_documents: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Proof:
    """What `verify` found.

    Attributes:
        chunks: of the live table.
        digest, expected: over all chunks of the live table, and of one that was built from nothing.
        difference: in what they differ; None where they do not.
        holes: chunks without a vector of which nobody knows why.
    """

    chunks: int
    digest: str
    expected: str
    difference: Difference | None
    holes: int

    @property
    def ok(self) -> bool:
        """Whether the index is what a rebuild would make, and nothing is missing in it."""
        return self.difference is None and self.digest == self.expected and not self.holes


class Indexing:
    """Keeps the index of one data root. One thread at a time.

    Args:
        vectors: gives chunks their vectors.
        chunking: which events get a chunk, and how their texts are written.
        documents: the Markdown documents that are indexed as well.
        discovery: returns what discovery says now.
        wait: is called before each batch; it may wait where others need the machine.
    """

    def __init__(
        self,
        root: Path,
        vectors: Vectors,
        discovery: Callable[[], Discovery],
        *,
        chunking: Chunking = CHUNKING,
        documents: Sequence[Path] = (),
        progress: Progress = lambda done, total: None,
        wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._root = root
        self._vectors = vectors
        self._chunking = chunking
        self._discovery = discovery
        self._progress = progress
        self._wait = wait
        self._paths = IndexPaths(root)
        self._documents = Documents(self._paths.folder, documents)
        self.identity = IndexIdentity(_chunker(chunking), str(chunking.profile), vectors.identity)
        self._live = LiveIndex(root, self.identity)

    def update(self, *, only_rows: bool = False) -> Done:
        """Bring the index up to what the lake has; build it where there is none.

        Args:
            only_rows: leave out discovery and the documents.

        Raises:
            LakeAbsentError, LakeUnavailableError, LakeIncompatibleError: if the lake cannot be read.
            IndexIncompatibleError, IndexDamagedError: if the index must be built anew.
            IndexReplacedError: if a rebuild took the table's place meanwhile: call it again.
        """
        with self._alone():
            try:
                store = self.store()
            except IndexAbsentError:
                return self.rebuild()
            with self._counting(Done()) as done:
                if not self._follow(store, done):
                    return self.rebuild()
                if not only_rows:
                    self._refresh(store, self._discovery(), done)
            with suppress(IndexBusyError):  # another process is at it
                keep_optimised(store)
            return done

    def rebuild(self) -> Done:
        """Build the index from nothing beside the live one, which it then replaces.

        Raises:
            LakeAbsentError, LakeUnavailableError, LakeIncompatibleError: if the lake cannot be read.
            IndexBusyError: if another process rebuilds.
        """
        position = end_of(self._root)
        self._paths.create()
        self._documents.remember()
        with self._counting(Done(rebuilt=True, position=position)) as done, Rebuild(self._root, self.identity) as new:
            self._fill(new, position, self._discovery(), done, self._vectors.rows)
            new.finish()
            checkpoint_file.save(self._root, FOLLOWER, new.store.id, position, stores=self._paths.stores())
            new.switch()
        return done

    def verify(self) -> Proof:
        """Prove that the index is what a rebuild would make: bring it up to date, rebuild beside it, and compare.

        Raises:
            IndexAbsentError, IndexIncompatibleError, IndexDamagedError: if there is no index that can be used.
            LakeAbsentError, LakeUnavailableError, LakeIncompatibleError: if the lake cannot be read.
        """
        for _ in range(_ATTEMPTS):
            changes = end_of(self._root).change
            proof = self._proof()
            if proof.ok or end_of(self._root).change == changes:
                break  # else rows were removed or corrected while it read them
        return proof

    def _proof(self) -> Proof:
        with self._alone():
            store, done, discovery = self.store(), Done(), self._discovery()
            if not self._follow(store, done) or done.position is None:
                raise IndexAbsentError(f"the index in {self._root} must be built: run `rugs index update`")
            self._refresh(store, discovery, done)
            with Rebuild(self._root, self.identity) as expected:
                self._fill(expected, done.position, discovery, Done(), _without_vectors)
                expected.finish(vectors=False)
                found, wanted = digest(store), digest(expected.store)
                differs = difference(store, expected.store) if found != wanted else None
            return Proof(found.rows, found.value, wanted.value, differs, self._vectors.holes(store))

    # What is dirty

    def _follow(self, store: IndexStore, done: Done) -> bool:
        """Take in what the lake has above the table's checkpoint; return False if everything must be built anew."""
        position = checkpoint_file.load(self._root, FOLLOWER, store.id)
        dirty: set[Scope] = set()
        while position is not None and (piece := next_piece(self._root, position, _WANTED)) is not None:
            found = _dirty_by(piece)
            if piece.starts_over or found is None:
                return False
            dirty |= found
            position = piece.position
            if len(dirty) >= _FLUSH_SCOPES:
                self._flush(store, dirty, position, done)
                dirty = set()
        if position is None:
            return False
        self._flush(store, dirty, position, done)
        return True

    def _flush(self, store: IndexStore, dirty: set[Scope], position: Position, done: Done) -> None:
        """Replace dirty scopes, and save the checkpoint."""
        is_new = position != checkpoint_file.load(self._root, FOLLOWER, store.id)
        computed = chunks_of(self._root, dirty, position, self._chunking)
        self._put(store, self._counted(computed, len(dirty)), done)
        if is_new:
            store.make_durable()
            checkpoint_file.save(self._root, FOLLOWER, store.id, position, stores=self._paths.stores())
        done.position = position

    # What is written

    def _refresh(self, store: IndexStore, discovery: Discovery, done: Done) -> None:
        """Replace what is made of discovery and of documents, and remove what is no longer made of them."""
        self._documents.remember()
        stale: dict[str, list[Chunk]] = {
            key: [] for key in store.scope_keys() if key.startswith((f"{DISCOVERY}:", DOCUMENT_PREFIX))
        }
        wanted: dict[str, list[Chunk]] = {**stale, **dict(self._other_scopes(discovery, done))}
        self._put(store, wanted.items(), done)
        store.make_durable()

    def _put(self, store: IndexStore, scopes: Iterable[Chunks], done: Done) -> None:
        """Replace scopes, some at a time."""
        for batch in _batches(scopes):
            self._wait()
            rows = self._vectors.rows([chunk for _, chunks in batch for chunk in chunks])
            change = store.replace_scopes(_grouped(batch, rows))
            done.scopes += len(batch)
            done.written += change.written
            done.deleted += change.deleted
            done.unchanged += change.unchanged

    def _fill(
        self,
        new: Rebuild,
        position: Position,
        discovery: Discovery,
        done: Done,
        rows_of: Callable[[Sequence[Chunk]], list[Row]],
    ) -> None:
        """Add everything to a new table."""
        scopes = all_scopes(self._root, position)
        computed = self._counted(chunks_of(self._root, scopes, position, self._chunking), len(scopes))
        for batch in _batches(chain(self._other_scopes(discovery, done), self._kept_scopes(), computed)):
            self._wait()
            rows = rows_of([chunk for _, chunks in batch for chunk in chunks])
            new.add(_grouped(batch, rows))
            done.scopes += len(batch)
            done.written += len(rows)

    def _other_scopes(self, discovery: Discovery, done: Done) -> Iterator[Chunks]:
        """Give the scopes of discovery and of documents."""
        yield from discovery_chunks(*discovery)
        yield from self._documents.scopes(done.skipped_documents)

    def _kept_scopes(self) -> Iterator[Chunks]:
        """Give the scopes of the live table that nothing could be made of again: callers brought them."""
        try:
            store = self._live.store()
        except (IndexAbsentError, IndexDamagedError, IndexIncompatibleError):
            return
        yield from brought_scopes(store)

    def _counted(self, computed: Iterable[Computed], total: int) -> Iterator[Chunks]:
        for number, (scope, chunks) in enumerate(computed, start=1):
            yield scope.key, chunks
            self._progress(number, total)

    def store(self) -> IndexStore:
        """Return the live table, open.

        Raises:
            IndexAbsentError, IndexIncompatibleError, IndexDamagedError: if there is none that can be used.
        """
        store = self._live.store()
        if store.identity.dimension is not None and self.identity.dimension is None:
            raise IndexIncompatibleError(
                f"the index in {self._root} has vectors, and there is no model to make more: `rugs index setup` says"
                " what to install; `rugs index rebuild` makes an index of words alone"
            )
        return store

    @contextmanager
    def _counting(self, done: Done) -> Iterator[Done]:
        """Count the texts of what the body does."""
        vectors = self._vectors
        before = vectors.embedded, vectors.cached, vectors.skipped
        yield done
        done.embedded = vectors.embedded - before[0]
        done.cached = vectors.cached - before[1]
        done.skipped = vectors.skipped - before[2]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the index for an update; wait while another process does."""
        make_folder(self._paths.folder)
        with (self._paths.folder / ".update.lock").open("ab") as file:
            lock(file)
            yield


def _chunker(chunking: Chunking) -> str:
    """Return the version of the chunkers; another policy makes other chunks."""
    return CHUNKER if chunking.policy == POLICY else f"{CHUNKER} with {chunking.policy}"


def _dirty_by(piece: Piece) -> set[Scope] | None:
    """Return the scopes that a piece makes dirty; None: all of them."""
    dirty = set() if piece.rows is None else dirty_by_rows(piece.rows)
    for change in piece.changes:
        found = None if change.touched is None else dirty_by_change(change.touched)
        if found is None:
            return None
        dirty |= found
    return dirty


def _batches(scopes: Iterable[Chunks]) -> Iterator[list[Chunks]]:
    """Give scopes together that have enough chunks, or are many."""
    batch: list[Chunks] = []
    size = 0
    for key, chunks in scopes:
        batch.append((key, chunks))
        size += len(chunks)
        if size >= _BATCH or len(batch) >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _grouped(batch: Sequence[Chunks], rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each scope of a batch; `rows` are in the order of its chunks."""
    left = iter(rows)
    return {key: [next(left) for _ in chunks] for key, chunks in batch}


def _without_vectors(chunks: Sequence[Chunk]) -> list[Row]:
    return [Row(chunk) for chunk in chunks]
