"""What every embedder offers, and what makes two embedders the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import numpy as np

_DIGITS: Final = 12


@dataclass(frozen=True)
class EmbedderIdentity:
    """What decides the vectors: vectors of two embedders may be compared only if their identities are equal.

    Versions of libraries are no part of it: in f32 they change a vector by less than 1e-6.

    Attributes:
        model: name, as its authors or its server give it.
        dimension: numbers in a vector.
        library: that computes the vectors, without its version.
        precision: of the numbers that it computes with, such as `f32`; empty where nobody knows.
        weights: SHA-256 (hex) of the weights and of the files that say how they are used; empty where nobody knows.
    """

    model: str
    dimension: int
    library: str
    precision: str = ""
    weights: str = ""

    def as_json(self) -> dict[str, str | int]:
        """Return it as plain values, for manifests and the metadata of tables."""
        return asdict(self)

    @property
    def slug(self) -> str:
        """Return a file name that no other identity has."""
        parts = (self.library, self.model, str(self.dimension), self.precision, self.weights[:_DIGITS])
        return "-".join(re.sub(r"[^A-Za-z0-9._-]+", "_", part) for part in parts if part)


class Embedder(Protocol):
    """Computes the vectors of texts. May be used from several threads."""

    @property
    def identity(self) -> EmbedderIdentity:
        """What decides the vectors.

        Raises:
            EmbeddingError: if it must be asked for, and does not answer.
        """

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of documents: float32, shape (texts, dimension), rows of length 1.

        A vector depends on its own text alone.

        Raises:
            EmbeddingError: if one of the texts cannot be embedded.
        """

    def embed_query(self, text: str) -> np.ndarray:
        """Return the vector of a question: float32, shape (dimension,), of length 1.

        Raises:
            EmbeddingError: if the text cannot be embedded.
        """
