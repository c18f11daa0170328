"""Embedders for tests: the real default one, made once, and one that needs no model."""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from rugs_index.embedders import EmbedderIdentity, EmbeddingError
from rugs_index.embedders.openvino import OpenVinoEmbedder

VECTORS: Final = Path(__file__).parents[2] / "proto" / "vectors" / "embeddings.json"
DIMENSION: Final = 8


@functools.cache
def default_embedder() -> OpenVinoEmbedder:
    """Return the default embedder of this process."""
    return OpenVinoEmbedder(threads=1)


@functools.cache
def reference() -> dict[str, Any]:
    """Return the reference vectors of the default model, and what made them."""
    content: dict[str, Any] = json.loads(VECTORS.read_text())
    return content


class HashEmbedder:
    """An embedder whose vectors are made of hashes; it counts what it is asked.

    Attributes:
        asked: how often each text was asked for and embedded.
        refuses: says why a text cannot be embedded; None: it can.
    """

    identity = EmbedderIdentity("hash", DIMENSION, "tests", "f32", "0" * 64)

    def __init__(self, refuses: Callable[[str], str | None] = lambda _: None) -> None:
        self.refuses = refuses
        self.asked: Counter[str] = Counter()
        self.calls = 0

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts."""
        self.calls += 1
        for text in texts:
            if (reason := self.refuses(text)) is not None:
                raise EmbeddingError(reason)
        self.asked.update(texts)
        return np.array([hash_vector(text) for text in texts], dtype=np.float32).reshape(len(texts), DIMENSION)

    def embed_query(self, text: str) -> np.ndarray:
        """Return the vector of a question."""
        return hash_vector(text)


def hash_vector(text: str) -> np.ndarray:
    """Return the vector of a text: a direction that its hash gives."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
    numbers = np.frombuffer(digest, dtype=np.uint8)[:DIMENSION].astype(np.float64) - 127.5
    vector: np.ndarray = (numbers / np.linalg.norm(numbers)).astype(np.float32)
    return vector


class BigHashEmbedder(HashEmbedder):
    """The same with vectors as long as those of the default model, quickly made and less even."""

    identity = EmbedderIdentity("big-hash", 384, "tests", "f32", "0" * 64)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts."""
        digests = b"".join(hashlib.sha256(text.encode()).digest() for text in texts)
        rows = np.frombuffer(digests, dtype=np.uint8).reshape(len(texts), 32).astype(np.float32) - 127.5
        unit: np.ndarray = np.tile(rows, 12) / (np.linalg.norm(rows, axis=1, keepdims=True) * np.sqrt(np.float32(12)))
        return unit
