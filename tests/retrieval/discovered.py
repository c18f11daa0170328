"""What discovery finds in the frames of the corpus, without a lake."""

from __future__ import annotations

from collections.abc import Iterator

from rugs_discovery.batch import take
from rugs_discovery.messages import read_stored
from rugs_discovery.nodes import Place
from rugs_discovery.summary import Summary, summarise
from tests.retrieval.corpus import CAPTURES, corpus


def summary_of_corpus() -> Summary:
    """Return what discovery finds in all frames, those of one player as well."""
    state = take([*_frames()], lambda index: Place(0, "corpus", index), lambda key, is_sent: True, read_stored)
    return summarise(state)


def _frames() -> Iterator[bytes]:
    for name, content in corpus().files.items():
        if name.startswith(CAPTURES):
            yield from content.splitlines()
    for envelope in corpus().live:
        if envelope["doc_type"] == "ws_event":
            yield envelope["raw"].encode()
