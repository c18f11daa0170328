"""The graph of a BERT sentence encoder for OpenVINO, built from its tensors: nothing is converted, nothing is saved."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import openvino
from openvino import opset13 as op

from rugs_index.embedders.folder import BertSettings
from rugs_index.embedders.safetensors import Tensors

_FAR: Final = -1e9
"""Added to the score of what is padding: it then has no weight."""
_SMALLEST_NORM: Final = 1e-12


def sentence_encoder(tensors: Tensors, settings: BertSettings) -> openvino.Model:
    """Return the graph from ids of tokens (int32) and their mask (float32, 1 or 0), both of shape (texts, tokens), to
    vectors of shape (texts, hidden) and length 1.

    The graph uses the memory of the tensors: they must live as long.

    Raises:
        EmbeddingError: if a tensor is missing or damaged.
    """
    return _Graph(tensors, settings).model()


class _Graph:
    def __init__(self, tensors: Tensors, settings: BertSettings) -> None:
        self._tensors = tensors
        self._settings = settings

    def model(self) -> openvino.Model:
        ids = op.parameter([-1, -1], np.int32, name="ids")
        mask = op.parameter([-1, -1], np.float32, name="mask")
        bias = op.multiply(op.subtract(_scalar(1.0), mask), _scalar(_FAR))
        bias = op.unsqueeze(bias, _integers(1, 2))
        states = self._embeddings(ids)
        for number in range(self._settings.layers):
            states = self._layer(states, bias, f"encoder.layer.{number}")
        pooled = self._pooled(states, mask)
        vectors = op.normalize_l2(pooled, _integers(1), _SMALLEST_NORM, "max")
        return openvino.Model([vectors], [ids, mask], "sentence_encoder")

    def _embeddings(self, ids: Any) -> Any:
        words = op.gather(self._weights("embeddings.word_embeddings.weight"), ids, _integer(0))
        # Texts are never pairs: all tokens are of type 0.
        kind = self._tensors["embeddings.token_type_embeddings.weight"][0]
        positions = op.constant(self._tensors["embeddings.position_embeddings.weight"] + kind)
        length = op.gather(op.shape_of(ids), _integers(1), _integer(0))
        states = op.add(words, op.slice(positions, _integers(0), length, _integers(1), _integers(0)))
        return self._normalized(states, "embeddings.LayerNorm")

    def _layer(self, states: Any, bias: Any, name: str) -> Any:
        query, key, value = (
            self._split_heads(self._dense(states, f"{name}.attention.self.{part}"))
            for part in ("query", "key", "value")
        )
        seen = self._join_heads(op.scaled_dot_product_attention(query, key, value, bias))
        states = op.add(self._dense(seen, f"{name}.attention.output.dense"), states)
        states = self._normalized(states, f"{name}.attention.output.LayerNorm")
        wide = op.gelu(self._dense(states, f"{name}.intermediate.dense"), "erf")
        states = op.add(self._dense(wide, f"{name}.output.dense"), states)
        return self._normalized(states, f"{name}.output.LayerNorm")

    def _split_heads(self, states: Any) -> Any:
        size = self._settings.hidden // self._settings.heads
        return op.transpose(
            op.reshape(states, _integers(0, 0, self._settings.heads, size), True), _integers(0, 2, 1, 3)
        )

    def _join_heads(self, states: Any) -> Any:
        return op.reshape(op.transpose(states, _integers(0, 2, 1, 3)), _integers(0, 0, self._settings.hidden), True)

    def _dense(self, states: Any, name: str) -> Any:
        product = op.matmul(states, self._weights(f"{name}.weight"), False, True)
        return op.add(product, self._vector(f"{name}.bias"))

    def _normalized(self, states: Any, name: str) -> Any:
        centred = op.mvn(states, _integers(-1), True, self._settings.epsilon, "inside_sqrt")
        return op.add(op.multiply(centred, self._vector(f"{name}.weight")), self._vector(f"{name}.bias"))

    def _pooled(self, states: Any, mask: Any) -> Any:
        if self._settings.pooling == "cls":
            return op.gather(states, _integer(0), _integer(1))
        # The sum has the direction of the mean, and only the direction is kept.
        return op.reduce_sum(op.multiply(states, op.unsqueeze(mask, _integers(2))), _integers(1))

    def _weights(self, name: str) -> Any:
        return op.constant(self._tensors[name], shared_memory=True)

    def _vector(self, name: str) -> Any:
        return op.constant(self._tensors[name].reshape(1, 1, -1), shared_memory=True)


def _integer(value: int) -> Any:
    return op.constant(np.int64(value))


def _integers(*values: int) -> Any:
    return op.constant(np.array(values, dtype=np.int64))


def _scalar(value: float) -> Any:
    return op.constant(np.float32(value))
