"""Embedders: from texts to vectors, behind one protocol. Importing this loads no model and none of their libraries."""

from rugs_index.embedders.choice import NO_EMBEDDER, choose
from rugs_index.embedders.errors import EmbeddingError, MissingModelError
from rugs_index.embedders.installed import SetupAdvice, setup_advice
from rugs_index.embedders.protocol import Embedder, EmbedderIdentity

__all__ = [
    "NO_EMBEDDER",
    "Embedder",
    "EmbedderIdentity",
    "EmbeddingError",
    "MissingModelError",
    "SetupAdvice",
    "choose",
    "setup_advice",
]
