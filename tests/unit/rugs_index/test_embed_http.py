"""The embedder that asks an HTTP endpoint, against a real one."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import numpy as np
import pytest

from rugs_index.embedders import EmbeddingError, choose
from rugs_index.embedders.http import HttpEmbedder
from tests.support.embedkit import DIMENSION, hash_vector
from tests.support.embedserver import Endpoint, Request, embeddings, endpoint, right_answer

TEXTS = ["price", "", "🚀", "the game rugged", "\ud800"]
UNIT = [1.0] + [0.0] * (DIMENSION - 1)


@pytest.fixture
def server() -> Iterator[Endpoint]:
    """An endpoint that answers as the contract says."""
    with endpoint() as found:
        yield found


def test_vectors_are_those_of_the_endpoint(server: Endpoint) -> None:
    vectors = HttpEmbedder(server.url()).embed(TEXTS)
    expected = [hash_vector(text) for text in ["price", "", "🚀", "the game rugged", "\\ud800"]]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert vectors.dtype == np.float32


def test_a_question_is_embedded_as_a_text(server: Endpoint) -> None:
    np.testing.assert_allclose(HttpEmbedder(server.url()).embed_query("price"), hash_vector("price"), atol=1e-6)


def test_model_and_dimension_are_asked_for_once(server: Endpoint) -> None:
    embedder = HttpEmbedder(server.url())
    assert (embedder.identity.model, embedder.identity.dimension) == ("hash-of-a-test", DIMENSION)
    assert embedder.identity.library == "http"
    assert len(server.requests) == 1


def test_no_request_has_more_texts_than_it_may(server: Endpoint) -> None:
    embedder = HttpEmbedder(server.url(), batch_texts=4)
    texts = [f"text {number}" for number in range(10)]
    np.testing.assert_allclose(embedder.embed(texts), [hash_vector(text) for text in texts], atol=1e-6)
    assert [len(request.texts) for request in server.requests[1:]] == [4, 4, 2]


def test_vectors_get_length_one(server: Endpoint) -> None:
    server.answer = lambda request: embeddings([[3, 4] + [0] * (DIMENSION - 2)] * len(request.texts))
    np.testing.assert_allclose(HttpEmbedder(server.url()).embed_query("a")[:2], [0.6, 0.8], atol=1e-6)


@pytest.mark.parametrize("user", ["ada:s3cret-word@", "ada:s3cret%2Dword@"])
def test_credentials_are_sent_and_never_shown(server: Endpoint, user: str) -> None:
    embedder = HttpEmbedder(server.url(user))
    assert embedder.identity.dimension == DIMENSION
    sent = base64.b64decode(server.requests[0].headers["authorization"].removeprefix("Basic ")).decode()
    assert sent == "ada:s3cret-word"
    server.answer = lambda _: (500, b'{"detail": "embedding_failed: no model at http://u:s3cret-word@host/"}')
    with pytest.raises(EmbeddingError) as caught:
        embedder.embed(["a"])
    assert "s3cret" not in str(caught.value)
    assert "embedding_failed" in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([UNIT], "it has 1 vectors for 2 texts"),
        ([UNIT] * 3, "it has 3 vectors for 2 texts"),
        (None, "no list `embeddings`"),
        ({"0": UNIT}, "no list `embeddings`"),
        ([UNIT, UNIT[:-1]], f"a vector has {DIMENSION - 1} numbers, {DIMENSION} are expected"),
        ([UNIT, []], f"a vector has 0 numbers, {DIMENSION} are expected"),
        ([UNIT, None], f"a vector has 0 numbers, {DIMENSION} are expected"),
        ([UNIT, [float("nan")] * DIMENSION], "a vector holds NaN or an infinite number"),
        ([UNIT, [1e308] * DIMENSION], "a vector holds NaN or an infinite number"),
        ([UNIT, [0.0] * DIMENSION], "a vector is all zeros"),
        ([UNIT, ["1.0"] * DIMENSION], "other than numbers"),
        ([UNIT, [None] * DIMENSION], "other than numbers"),
        ([UNIT, [[1.0]] * DIMENSION], "other than numbers"),
        ([UNIT, [10**400] * DIMENSION], "other than numbers"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused(server: Endpoint, rows: object, reason: str) -> None:
    embedder = HttpEmbedder(server.url())
    assert embedder.identity.dimension == DIMENSION
    server.answer = lambda _: embeddings(rows)
    with pytest.raises(EmbeddingError, match=reason):
        embedder.embed(["a", "b"])


@pytest.mark.parametrize("content", [b"", b"hello", b"[]", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_object_is_refused(server: Endpoint, content: bytes) -> None:
    server.answer = lambda _: (200, content)
    with pytest.raises(EmbeddingError, match="no JSON object"):
        HttpEmbedder(server.url()).embed(["a"])


def test_another_model_in_the_middle_is_refused(server: Endpoint) -> None:
    embedder = HttpEmbedder(server.url())
    assert embedder.identity.model == "hash-of-a-test"
    server.answer = lambda _: embeddings([UNIT], model="another")
    with pytest.raises(EmbeddingError, match="'another', and was 'hash-of-a-test'"):
        embedder.embed(["a"])


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_passes_is_tried_again(server: Endpoint, status: int) -> None:
    answers = [(status, b"busy")]
    server.answer = lambda request: answers.pop() if answers else right_answer(request)
    np.testing.assert_allclose(HttpEmbedder(server.url()).embed_query("a"), hash_vector("a"), atol=1e-6)


def test_what_does_not_pass_is_given_up(server: Endpoint) -> None:
    server.answer = lambda _: (503, b'{"detail": "out of memory"}')
    with pytest.raises(EmbeddingError, match="refuses: 503 out of memory"):
        HttpEmbedder(server.url(), retries=1).embed(["a"])
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 413, 500])
def test_what_is_refused_is_not_tried_again(server: Endpoint, status: int) -> None:
    server.answer = lambda _: (status, json.dumps({"detail": "too\nlong"}).encode())
    with pytest.raises(EmbeddingError, match=f"refuses: {status} too long"):
        HttpEmbedder(server.url()).embed(["a"])
    assert len(server.requests) == 1


def test_a_redirect_is_not_followed(server: Endpoint) -> None:
    server.answer = lambda _: (307, b"")
    with pytest.raises(EmbeddingError, match="refuses: 307"):
        HttpEmbedder(server.url()).embed(["a"])
    assert len(server.requests) == 1


def test_an_endpoint_that_does_not_answer_in_time_is_an_error(server: Endpoint) -> None:
    embedder = HttpEmbedder(server.url(), timeout=0.1)
    server.holds = lambda request: "slow" in request.texts
    np.testing.assert_allclose(embedder.embed_query("quick"), hash_vector("quick"), atol=1e-6)
    with pytest.raises(EmbeddingError, match="does not answer"):
        embedder.embed(["slow"])
    assert sum(request.texts == ["slow"] for request in server.requests) == 1


def test_an_endpoint_that_is_not_there_is_an_error() -> None:
    with endpoint() as server:
        address = server.url("ada:s3cret-word@")
    with pytest.raises(EmbeddingError, match="does not answer") as caught:
        HttpEmbedder(address, retries=1).embed(["a"])
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://", "http:///path", "ftp://127.0.0.1/", "http://[", "http://127.0.0.1:99999/"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(EmbeddingError, match="no URL of an endpoint"):
        HttpEmbedder(url)


def test_the_setting_may_be_the_url(server: Endpoint) -> None:
    for embedder in (choose(server.url()), choose(environment={"EMBED_ENDPOINT": server.url()})):
        assert embedder is not None
        assert embedder.identity.library == "http"


def test_a_request_is_what_the_contract_says(server: Endpoint) -> None:
    HttpEmbedder(server.url()).embed(["a", "b"])
    assert server.requests[-1] == Request(["a", "b"], server.requests[-1].headers)
    assert server.requests[-1].headers["content-type"] == "application/json"
