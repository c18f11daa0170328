"""Which embedder: by one setting."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rugs_index.embedders.errors import EmbeddingError
from rugs_index.embedders.installed import missing_error

if TYPE_CHECKING:
    from rugs_index.embedders.protocol import Embedder

GROUP: Final = "rugs.embedders"
"""The group of entry points: from a name to a factory, called as `factory(argument, threads=threads)`."""
NO_EMBEDDER: Final = "none"
DEFAULT: Final = "openvino"
ENDPOINT_VARIABLE: Final = "EMBED_ENDPOINT"

Factory = Callable[..., "Embedder"]


def choose(
    setting: str | None = None, *, threads: int | None = None, environment: Mapping[str, str] = os.environ
) -> Embedder | None:
    """Return the embedder that a setting names; None if it is `none`: then only text search works.

    Args:
        setting: `openvino`, `openvino:FOLDER`, `sentence-transformers:FOLDER` (or the name of a model that is there
            already), the URL of an endpoint, `NAME` or `NAME:ARGUMENT` of an entry point in the group `rugs.embedders`,
            or `none`. Empty or None: the endpoint in the variable `EMBED_ENDPOINT`, else `openvino`.
        threads: that compute; None: as many as there are cores.
        environment: where the variable is looked for.

    Raises:
        MissingModelError: if a library or the model is not installed.
        EmbeddingError: if there is no such embedder, or it does not start.
    """
    setting = (setting or "").strip() or environment.get(ENDPOINT_VARIABLE, "").strip() or DEFAULT
    if setting == NO_EMBEDDER:
        return None
    if setting.startswith(("http://", "https://")):
        return http(setting, threads=threads)
    name, _, argument = setting.partition(":")
    return _factory(name)(argument, threads=threads)


def openvino(argument: str = "", *, threads: int | None = None) -> Embedder:
    """Return the embedder on OpenVINO.

    Args:
        argument: folder of a model; empty: the installed default model.
    """
    try:
        module = import_module("rugs_index.embedders.openvino")
    except ImportError as error:
        raise missing_error(error) from error
    made: Embedder = module.OpenVinoEmbedder(Path(argument) if argument else None, threads=threads)
    return made


def sentence_transformers(argument: str = "", *, threads: int | None = None) -> Embedder:
    """Return the embedder on sentence-transformers.

    Args:
        argument: folder of a model, or its name.
    """
    if not argument:
        raise EmbeddingError("which model? write sentence-transformers:FOLDER")
    module = import_module("rugs_index.embedders.sentence_transformers")
    made: Embedder = module.SentenceTransformersEmbedder(argument, threads=threads)
    return made


def http(argument: str = "", *, threads: int | None = None) -> Embedder:
    """Return the embedder that asks an endpoint.

    Args:
        argument: its URL.
        threads: not used: the endpoint computes.
    """
    module = import_module("rugs_index.embedders.http")
    made: Embedder = module.HttpEmbedder(argument)
    return made


_BUILT_IN: Final[Mapping[str, Factory]] = {"openvino": openvino, "sentence-transformers": sentence_transformers}


def _factory(name: str) -> Factory:
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    found = metadata.entry_points(group=GROUP, name=name)
    if not found:
        known = ", ".join(sorted({*_BUILT_IN, *metadata.entry_points(group=GROUP).names} - {"default"}))
        raise EmbeddingError(
            f"there is no embedder {name!r}: known are {known}, the URL of an endpoint, and {NO_EMBEDDER}"
        )
    factory: Factory = next(iter(found)).load()
    return factory
