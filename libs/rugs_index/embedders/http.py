"""An embedder that asks an HTTP endpoint: `{"texts": […]}` is answered by `{"embeddings": [[…]], "model": …}`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
import urllib3
from urllib3.exceptions import HTTPError, LocationValueError

from rugs_core.reasons import refusal
from rugs_core.secrets import mask_secrets
from rugs_index.embedders.errors import EmbeddingError
from rugs_index.embedders.protocol import EmbedderIdentity
from rugs_index.embedders.text import encodable

_CONNECT_SECONDS: Final = 5.0
_MOST_BYTES: Final = 64 << 20
"""Of an answer."""
_READ_BYTES: Final = 1 << 16
_PROBE: Final = "dimension"
"""A text that is embedded to know the model and its dimension."""
_PASSING: Final = (429, 502, 503, 504)
"""Answers after which the same request may work."""
_SHORTEST: Final = 1e-12


class HttpEmbedder:
    """Embeds by asking an endpoint.

    Args:
        url: of the endpoint. A user and password in it are sent as basic authentication, and never shown.
        batch_texts: at most, in a request.
        timeout: for the answer to a request, in seconds; connecting has 5 s of its own.
        retries: of a request that gets no answer, or 429, 502, 503 or 504.

    Raises:
        EmbeddingError: if the URL is none.
    """

    def __init__(self, url: str, *, batch_texts: int = 32, timeout: float = 60.0, retries: int = 3) -> None:
        self._shown = mask_secrets(url)
        self._batch_texts = batch_texts
        self._seconds = timeout
        try:
            parts = urllib3.util.parse_url(url)
        except LocationValueError as error:
            raise EmbeddingError(f"{self._shown} is no URL of an endpoint") from error
        if parts.scheme not in ("http", "https") or not parts.host:
            raise EmbeddingError(f"{self._shown} is no URL of an endpoint: write http://HOST:PORT/PATH")
        self._url = parts._replace(auth=None).url
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if parts.auth:
            self._headers |= urllib3.make_headers(basic_auth=unquote(parts.auth))
        self._retry = urllib3.Retry(
            total=retries,
            read=0,  # what took too long once is not asked for again: the endpoint may still be busy with it
            backoff_factor=0.2,
            backoff_max=5.0,
            status_forcelist=_PASSING,
            allowed_methods=("POST",),
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, timeout), read=timeout))

    @cached_property
    def identity(self) -> EmbedderIdentity:
        """The model and the dimension of the endpoint, asked for once.

        Raises:
            EmbeddingError: if the endpoint does not answer as it should.
        """
        answer = self._ask([_PROBE])
        rows = answer.get("embeddings")
        if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], list) or not rows[0]:
            raise self._bad("it has no list `embeddings` with one vector for one text")
        return EmbedderIdentity(_model(answer), len(rows[0]), "http")

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts, of length 1 whatever their length in the answers."""
        vectors = np.empty((len(texts), self.identity.dimension), dtype=np.float32)
        for begin in range(0, len(texts), self._batch_texts):
            batch = texts[begin : begin + self._batch_texts]
            vectors[begin : begin + len(batch)] = self._vectors(batch)
        return vectors

    def embed_query(self, text: str) -> np.ndarray:
        """Return the vector of a question."""
        vector: np.ndarray = self.embed([text])[0]
        return vector

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Return the checked vectors of one request."""
        answer = self._ask(texts)
        expected = self.identity
        if (model := _model(answer)) != expected.model:
            raise self._bad(f"its model is {model!r}, and was {expected.model!r}: vectors of two models do not mix")
        rows = answer.get("embeddings")
        if not isinstance(rows, list) or len(rows) != len(texts):
            found = f"{len(rows)} vectors" if isinstance(rows, list) else "no list `embeddings`"
            raise self._bad(f"it has {found} for {len(texts)} texts")
        sizes = {len(row) if isinstance(row, list) else 0 for row in rows} - {expected.dimension}
        if sizes:
            raise self._bad(f"a vector has {sizes.pop()} numbers, {expected.dimension} are expected")
        vectors = _matrix(rows)
        if vectors is None:
            raise self._bad("its vectors hold something other than numbers")
        with np.errstate(over="ignore"):
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise self._bad("a vector holds NaN or an infinite number")
        if (norms < _SHORTEST).any():
            raise self._bad("a vector is all zeros, and so has no direction")
        unit: np.ndarray = (vectors / norms).astype(np.float32)
        return unit

    def _ask(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return the answer to one request."""
        body = json.dumps({"texts": [encodable(text) for text in texts]}).encode()
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                body=body,
                headers=self._headers,
                retries=self._retry,
                redirect=False,  # another host would be given the texts
                preload_content=False,
            )
            try:
                content = self._read(answer)
            finally:
                answer.release_conn()
        except (HTTPError, OSError) as error:
            raise EmbeddingError(
                f"the endpoint {self._shown} does not answer: {mask_secrets(refusal(error))}; start it, or choose"
                " another embedder"
            ) from error
        if answer.status != 200:
            raise EmbeddingError(f"the endpoint {self._shown} refuses: {answer.status} {_detail(content)}".rstrip())
        try:
            told = json.loads(content)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise self._bad("it is no JSON object")
        return told

    def _read(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        """Return the body of an answer, within the time and the size that it may take."""
        deadline = time.monotonic() + self._seconds
        content = bytearray()
        for part in answer.stream(_READ_BYTES):
            content += part
            if len(content) > _MOST_BYTES:
                answer.close()
                raise self._bad(f"it is larger than {_MOST_BYTES >> 20} MiB")
            if time.monotonic() > deadline:
                answer.close()
                raise EmbeddingError(f"the endpoint {self._shown} takes more than {self._seconds:g} s to answer")
        return bytes(content)

    def _bad(self, reason: str) -> EmbeddingError:
        return EmbeddingError(f"the endpoint {self._shown} gives an answer that cannot be used: {reason}")


def _matrix(rows: list[list[Any]]) -> np.ndarray | None:
    """Return rows as numbers; None if something else is among them."""
    try:
        matrix = np.asarray(rows)
    except ValueError:  # a list among numbers
        return None
    return matrix.astype(np.float64) if matrix.dtype.kind in "fiu" and matrix.ndim == 2 else None


def _model(answer: dict[str, Any]) -> str:
    return str(answer.get("model") or "unknown")[:200]


def _detail(content: bytes) -> str:
    """Return what an error answer says, on one line."""
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        told = content.decode(errors="replace")
    detail = told.get("detail", told) if isinstance(told, dict) else told
    return mask_secrets(" ".join(str(detail)[:300].split()))
