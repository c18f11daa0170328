"""A model's folder, as sentence-transformers lays it out: weights, tokenizer, and how they are used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rugs_core.files import sha256_of
from rugs_core.reasons import one_line
from rugs_index.embedders.errors import EmbeddingError, MissingModelError

WEIGHTS: Final = "model.safetensors"
TOKENIZER: Final = "tokenizer.json"
_CONFIG: Final = "config.json"
_LIMITS: Final = "sentence_bert_config.json"
_POOLING: Final = "1_Pooling/config.json"
_DECISIVE: Final = (WEIGHTS, TOKENIZER, _CONFIG, _LIMITS, _POOLING)
_SUPPORTED: Final = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
_POOLINGS: Final = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


def model_name(folder: Path) -> str:
    """Return the name of the model in a folder, as far as the folder's own name says it."""
    return folder.parent.name if folder.name == "model" else folder.name


@dataclass(frozen=True)
class BertSettings:
    """What a BERT model is built with.

    Attributes:
        layers: of the encoder.
        heads: of attention, in each layer.
        hidden: numbers for a token: the dimension of the vectors.
        epsilon: of layer normalisation.
        pooling: how the vectors of tokens become one: `mean` or `cls`.
        most_tokens: that are read of a text, the two special ones included; the rest is left out.
    """

    layers: int
    heads: int
    hidden: int
    epsilon: float
    pooling: str
    most_tokens: int


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a model."""

    path: Path

    def settings(self) -> BertSettings:
        """Return what the model is built with.

        Raises:
            MissingModelError: if the folder or a file is missing.
            EmbeddingError: if it is none of the models that can be built.
        """
        config, limits, pooling = (self._json(name) for name in (_CONFIG, _LIMITS, _POOLING))
        for key, supported in _SUPPORTED.items():
            if config.get(key, supported) != supported:
                raise self._unsupported(f"{key} {config[key]!r}")
        if limits.get("do_lower_case"):
            raise self._unsupported("do_lower_case")
        modes = [key for key, value in pooling.items() if key.startswith("pooling_mode_") and value]
        if len(modes) != 1 or modes[0] not in _POOLINGS:
            raise self._unsupported(", ".join(modes) or "no pooling")
        try:
            return BertSettings(
                layers=int(config["num_hidden_layers"]),
                heads=int(config["num_attention_heads"]),
                hidden=int(config["hidden_size"]),
                epsilon=float(config["layer_norm_eps"]),
                pooling=_POOLINGS[modes[0]],
                most_tokens=min(int(limits["max_seq_length"]), int(config["max_position_embeddings"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise EmbeddingError(f"{self.path} lacks a setting of the model: {one_line(error)}") from error

    def digest(self) -> str:
        """Return the SHA-256 (hex) over all files that decide the vectors."""
        digests = {name: sha256_of(self.path / name) for name in _DECISIVE}
        return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()

    def _unsupported(self, what: str) -> EmbeddingError:
        return EmbeddingError(
            f"the model in {self.path} has {what}, which cannot be built here: use sentence-transformers:{self.path}"
        )

    def _json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise MissingModelError(f"{path} is missing: {self.path} is no folder of a model") from None
        except (OSError, ValueError) as error:
            raise EmbeddingError(f"{path} cannot be read: {one_line(error)}") from error
        if not isinstance(content, dict):
            raise EmbeddingError(f"{path} holds no JSON object")
        return content
