"""Batches of texts by length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rugs_index.embedders.batching import by_length

LENGTHS = st.lists(st.integers(1, 300), max_size=80)


@given(LENGTHS, st.integers(1, 600), st.integers(1, 16))
def test_each_text_is_in_one_batch(lengths: list[int], budget: int, multiple: int) -> None:
    batches = list(by_length(lengths, budget, multiple))
    assert sorted(index for batch in batches for index in batch.indices) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 600), st.integers(1, 16))
def test_a_batch_keeps_to_its_budget_unless_it_is_one_text(lengths: list[int], budget: int, multiple: int) -> None:
    for batch in by_length(lengths, budget, multiple):
        assert len(batch.indices) == 1 or len(batch.indices) * batch.length <= budget


@given(LENGTHS, st.integers(1, 600), st.integers(1, 16))
def test_rows_are_padded_to_the_next_multiple_of_the_longest(lengths: list[int], budget: int, multiple: int) -> None:
    for batch in by_length(lengths, budget, multiple):
        longest = max(lengths[index] for index in batch.indices)
        assert batch.length % multiple == 0
        assert longest <= batch.length < longest + multiple


def test_the_shortest_texts_come_first() -> None:
    batches = list(by_length([90, 8, 40, 8], 96, 8))
    assert [(batch.indices, batch.length) for batch in batches] == [((1, 3), 8), ((2,), 40), ((0,), 96)]
