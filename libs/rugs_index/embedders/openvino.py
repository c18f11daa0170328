"""The default embedder: a small BERT model on OpenVINO, in f32, without torch."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from rugs_core.reasons import refusal
from rugs_index.embedders.batching import Batch, by_length
from rugs_index.embedders.errors import EmbeddingError
from rugs_index.embedders.folder import TOKENIZER, WEIGHTS, ModelFolder, model_name
from rugs_index.embedders.installed import DEFAULT_MODEL, default_model_folder, missing_error
from rugs_index.embedders.protocol import EmbedderIdentity
from rugs_index.embedders.safetensors import Tensors

_TOKENS_IN_BATCH: Final = 512
"""What is computed at once then stays in the processor's caches: larger batches are slower."""
_TOKENS_MULTIPLE: Final = 8
_UNWANTED: Final = ("openvino_telemetry", "openvino.tools.ovc")
"""Importing OpenVINO imports its model converter, and that its telemetry, which starts a process and opens
connections. Neither is needed; OpenVINO goes on where they are not installed."""


class OpenVinoEmbedder:
    """Embeds with a BERT model on OpenVINO.

    The result does not depend on the machine, on the number of threads, or on what else is embedded, up to 1e-6.

    Args:
        folder: of a model, as sentence-transformers lays it out; None: the installed default model.
        threads: that compute; None: one for each core that this process may use.

    Raises:
        MissingModelError: if OpenVINO, tokenizers or the model is not installed.
        EmbeddingError: if the model is damaged, or is none that can be built.
    """

    def __init__(self, folder: Path | None = None, *, threads: int | None = None) -> None:
        self._folder = ModelFolder(default_model_folder() if folder is None else folder)
        self._name = DEFAULT_MODEL if folder is None else model_name(folder)
        settings = self._folder.settings()
        self._dimension = settings.hidden
        self._lock = threading.Lock()
        with _importing():
            openvino = importlib.import_module("openvino")
            bert = importlib.import_module("rugs_index.embedders.bert")
            tokens = importlib.import_module("rugs_index.embedders.tokens")
        self._tokens = tokens.FirstTokens(self._folder.path / TOKENIZER, settings.most_tokens)
        self._tensors = Tensors(self._folder.path / WEIGHTS)
        streams = threads or len(os.sched_getaffinity(0))
        options = {
            "INFERENCE_PRECISION_HINT": "f32",  # else some machines compute in bf16
            "INFERENCE_NUM_THREADS": streams,
            "NUM_STREAMS": streams,  # threads of one stream would wait for each other
            "ENABLE_CPU_PINNING": False,  # this is not the only program on the machine
        }
        try:
            compiled = openvino.Core().compile_model(bert.sentence_encoder(self._tensors, settings), "CPU", options)
        except RuntimeError as error:
            raise EmbeddingError(
                f"OpenVINO cannot build the model in {self._folder.path}: {refusal(error)}; install the model again"
            ) from error
        self._queue = openvino.AsyncInferQueue(compiled, streams)

    @cached_property
    def identity(self) -> EmbedderIdentity:
        """What decides the vectors."""
        return EmbedderIdentity(self._name, self._dimension, "openvino", "f32", self._folder.digest())

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts. Of each, only the first tokens are read, as many as the model takes."""
        ids = [self._tokens.ids(text) for text in texts]
        vectors = np.empty((len(texts), self._dimension), dtype=np.float32)

        def take(request: Any, indices: tuple[int, ...]) -> None:
            vectors[list(indices)] = request.get_output_tensor(0).data

        batches = by_length([len(each) for each in ids], _TOKENS_IN_BATCH, _TOKENS_MULTIPLE)
        with self._lock:
            self._queue.set_callback(take)
            try:
                for batch in batches:
                    self._queue.start_async(_inputs(batch, ids), userdata=batch.indices)
                self._queue.wait_all()
            except RuntimeError as error:
                raise EmbeddingError(f"OpenVINO cannot embed: {refusal(error)}") from error
        # OpenVINO makes a copy of the weights for each kernel that it compiles, and needs the file no more.
        self._tensors.forget_pages()
        return vectors

    def embed_query(self, text: str) -> np.ndarray:
        """Return the vector of a question."""
        vector: np.ndarray = self.embed([text])[0]
        return vector


def _inputs(batch: Batch, ids: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """Return the ids of a batch and their mask."""
    shape = len(batch.indices), batch.length
    tokens, mask = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.float32)
    for row, index in enumerate(batch.indices):
        tokens[row, : len(ids[index])] = ids[index]
        mask[row, : len(ids[index])] = 1
    return [tokens, mask]


@contextmanager
def _importing() -> Iterator[None]:
    """Import libraries without what they must not load.

    Raises:
        MissingModelError: if a library is not installed.
    """
    hidden = [name for name in _UNWANTED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # not to be imported
    try:
        yield
    except ImportError as error:
        raise missing_error(error) from error
    finally:
        for name in hidden:
            del sys.modules[name]
