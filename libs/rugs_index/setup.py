"""The index of a data root as settings want it: what commands and the indexer work with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rugs_discovery import current, outputs
from rugs_discovery.notes_file import load_meanings
from rugs_discovery.store import Store
from rugs_index.chunkers.ws_event import Profile
from rugs_index.embedders import choose
from rugs_index.indexing import Discovery, Indexing, Progress
from rugs_index.lake import Chunking
from rugs_index.policy import parse
from rugs_index.vectors import Vectors


def indexing_of(
    root: Path,
    *,
    embedder: str = "",
    threads: int | None = None,
    policy: str = "",
    profile: str = Profile.RUGBUS,
    documents: Sequence[Path] = (),
    builds_discovery: bool = True,
    progress: Progress = lambda done, total: None,
    wait: Callable[[], None] = lambda: None,
) -> Indexing:
    """Return what keeps the index of a data root.

    Args:
        embedder: see `rugs_index.embedders.choose`.
        threads: that embed; None: one a core.
        policy: see `rugs_index.policy.parse`.
        documents: folders of Markdown documents, besides those of before.
        builds_discovery: whether to bring discovery up to date first; the indexer does that anyway.
        progress, wait: see `Indexing`.

    Raises:
        MissingModelError: if the embedder is not installed.
        EmbeddingError: if there is no such embedder, or it does not start.
        PolicyError: if the policy cannot be used.
        FolderError: if a folder of documents is none.
    """
    vectors = Vectors(choose(embedder, threads=threads), root)
    return Indexing(
        root,
        vectors,
        lambda: discovery_of(root, build=builds_discovery),
        chunking=Chunking(parse(policy), Profile(profile)),
        documents=documents,
        progress=progress,
        wait=wait,
    )


def discovery_of(root: Path, *, build: bool) -> Discovery:
    """Return what discovery says of the lake, and the meanings.

    Args:
        build: bring it up to what the lake has first.

    Raises:
        LakeAbsentError, LakeUnavailableError, LakeIncompatibleError: if the lake cannot be read.
        DiscoveryError, NotesError: if its store or the notes file cannot be read.
    """
    meanings = load_meanings(outputs.notes_of(root))
    with Store(root) as store:
        if build:
            current.build(root, store)
        return current.summary_of(store, meanings.pins), meanings
