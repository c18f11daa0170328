"""An embedder for any model of sentence-transformers: the extra of that name, the only thing that needs torch."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from rugs_core.reasons import refusal
from rugs_index.embedders.errors import EmbeddingError, MissingModelError
from rugs_index.embedders.folder import model_name
from rugs_index.embedders.protocol import EmbedderIdentity
from rugs_index.embedders.text import encodable

_SETTINGS: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
"""Read once, when the library is imported."""
_INSTALL: Final = "python -m pip install torch==2.13.0 && python -m pip install 'sentence-transformers>=6.2'"


class SentenceTransformersEmbedder:
    """Embeds with sentence-transformers on the processor, in f32. Nothing is fetched: the model must be there.

    Questions and documents get the model's own prompts, where it has some.

    Args:
        model: a folder, or the name of a model that the library finds on this machine.
        threads: of torch, in the whole process; None: as many as torch takes.

    Raises:
        MissingModelError: if the library is not installed.
        EmbeddingError: if the model is not there, or cannot be loaded.
    """

    def __init__(self, model: str, *, threads: int | None = None) -> None:
        os.environ.update(_SETTINGS)
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingModelError(f"sentence-transformers is not installed ({error}); run: {_INSTALL}") from error
        if threads is not None:
            sys.modules["torch"].set_num_threads(threads)
        try:
            self._model: Any = SentenceTransformer(model, device="cpu", local_files_only=True).float().eval()
        except Exception as error:  # of many libraries, each with its own kinds
            raise EmbeddingError(
                f"sentence-transformers cannot load {model}: {refusal(error)}; name a folder that holds a model"
            ) from error
        self._name = model_name(Path(model))
        self._lock = threading.Lock()

    @cached_property
    def identity(self) -> EmbedderIdentity:
        """What decides the vectors."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.numpy().tobytes())
        dimension = int(self._model.get_embedding_dimension())
        return EmbedderIdentity(self._name, dimension, "sentence-transformers", "f32", digest.hexdigest())

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of documents."""
        return self._encode(self._model.encode_document, texts)

    def embed_query(self, text: str) -> np.ndarray:
        """Return the vector of a question."""
        vector: np.ndarray = self._encode(self._model.encode_query, [text])[0]
        return vector

    def _encode(self, encode: Callable[..., np.ndarray], texts: Sequence[str]) -> np.ndarray:
        encodable_texts = [encodable(text) for text in texts]
        if not encodable_texts:
            return np.empty((0, self.identity.dimension), dtype=np.float32)
        with self._lock:
            try:
                vectors = encode(encodable_texts, normalize_embeddings=True, show_progress_bar=False)
            except RuntimeError as error:  # torch: out of memory, a shape that the model does not take
                raise EmbeddingError(f"{self._name} cannot embed: {refusal(error)}") from error
        return np.asarray(vectors, dtype=np.float32)
