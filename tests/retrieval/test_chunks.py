"""The golden set against the chunks that the index makes of the corpus, without an index."""

from __future__ import annotations

from pathlib import Path

import pytest

from rugs_discovery.current import end_of
from rugs_discovery.notes_file import shipped_meanings
from rugs_index.chunk import Chunk
from rugs_index.discovery import discovery_chunks
from rugs_index.lake import all_scopes, chunks_of
from tests.retrieval.content_words import MOST_SHARED, shared
from tests.retrieval.corpus import facts
from tests.retrieval.data_root import DataRoot
from tests.retrieval.discovered import summary_of_corpus
from tests.retrieval.matching import Matcher
from tests.retrieval.questions import IDENTIFIER, Answer, all_questions
from tests.retrieval.searcher import Hit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def right_chunks(tmp_path_factory: pytest.TempPathFactory) -> dict[Answer, list[Chunk]]:
    """The chunks that are right, for each answer of the golden set."""
    data = DataRoot.made(tmp_path_factory.mktemp("retrieval"))
    chunks = [*_chunks(data.root)]
    matcher = Matcher(facts(), data.sessions)
    hits = [Hit(chunk.id, 0, chunk.metadata, chunk.text) for chunk in chunks]
    answers = {answer for question in all_questions() for answer in question.answers}
    return {
        answer: [
            chunk
            for chunk, hit in zip(chunks, hits, strict=True)
            if any(matcher.is_right(target, hit) for target in answer)
        ]
        for answer in answers
    }


def _chunks(root: Path) -> list[Chunk]:
    position = end_of(root)
    of_lake = [chunk for _, chunks in chunks_of(root, all_scopes(root, position), position) for chunk in chunks]
    of_discovery = discovery_chunks(summary_of_corpus(), shipped_meanings())
    return of_lake + [chunk for _, chunks in of_discovery for chunk in chunks]


def test_every_answer_has_a_chunk(right_chunks: dict[Answer, list[Chunk]]) -> None:
    lacking = [question.id for question in all_questions() if not all(map(right_chunks.__getitem__, question.answers))]
    assert lacking == []


def test_no_question_shares_more_than_half_of_its_content_words_with_a_chunk_it_expects(
    right_chunks: dict[Answer, list[Chunk]],
) -> None:
    too_alike = {
        (question.id, round(share, 2))
        for question in all_questions()
        if question.kind != IDENTIFIER
        for answer in question.answers
        for chunk in right_chunks[answer]
        if (share := shared(question.text, chunk.text)) > MOST_SHARED
    }
    assert sorted(too_alike) == []
