"""What can go wrong with embedders."""

from __future__ import annotations

from rugs_core.errors import RugsError


class EmbeddingError(RugsError):
    """A text cannot be embedded, or the embedder does not work; the message says which, and why."""


class MissingModelError(EmbeddingError):
    """A library or a model is not installed; the message says how to install it."""
