"""Batches of texts of about one length: what is padded is computed for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Batch:
    """Texts that are computed together.

    Attributes:
        indices: of the texts, in the order of their rows.
        length: tokens that each row is padded to.
    """

    indices: tuple[int, ...]
    length: int


def by_length(lengths: Sequence[int], budget: int, multiple: int) -> Iterator[Batch]:
    """Give batches of all texts, the shortest texts first.

    Args:
        lengths: tokens of each text.
        budget: tokens in a batch, padding included; a longer text has a batch of its own.
        multiple: rows are padded to a multiple of this, so that shapes come again and compiled code is reused.
    """
    taken: list[int] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        padded = -(-lengths[index] // multiple) * multiple
        if taken and (len(taken) + 1) * padded > budget:
            yield Batch(tuple(taken), longest)
            taken = []
        taken.append(index)
        longest = padded
    if taken:
        yield Batch(tuple(taken), longest)
