"""The extra `sentence-transformers`, in an environment of its own: the oracle of the reference vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rugs_index.embedders.installed import default_model_folder
from tests.support import torch_env
from tests.support.embedkit import default_embedder, reference
from tests.support.embedworker import Worker, worker
from tests.support.torch_env import CannotBeMadeError

# The first test makes the environment, which may take minutes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

TEXTS = [vector["text"] for vector in reference()["vectors"]]


@pytest.fixture(scope="module")
def transformers() -> Iterator[Worker]:
    """The oracle with the default model."""
    try:
        torch_env.make()
    except CannotBeMadeError as error:
        pytest.skip(str(error))
    with worker(torch_env.PYTHON, f"sentence-transformers:{default_model_folder()}") as found:
        yield found


def test_the_reference_vectors_are_those_of_sentence_transformers(transformers: Worker) -> None:
    expected = np.array([vector["vector"] for vector in reference()["vectors"]], dtype=np.float32)
    np.testing.assert_allclose(transformers.embed(TEXTS).vectors, expected, atol=2e-6)
    np.testing.assert_allclose(transformers.embed(TEXTS, as_queries=True).vectors, expected, atol=2e-6)


def test_the_default_embedder_agrees_with_it_on_other_texts(transformers: Worker) -> None:
    texts = [f"{one} {other}" for one in TEXTS[2:] for other in TEXTS[2:4]]
    cosines = (transformers.embed(texts).vectors * default_embedder().embed(texts)).sum(axis=1)
    assert cosines.min() >= 0.9999


def test_its_identity_is_its_own(transformers: Worker) -> None:
    identity = transformers.about["identity"]
    assert identity["library"] == "sentence-transformers"
    assert (identity["dimension"], identity["precision"], len(identity["weights"])) == (384, "f32", 64)


def test_a_lone_surrogate_counts_as_its_escape(transformers: Worker) -> None:
    vectors = transformers.embed(["a \ud83d b", "a \\ud83d b"]).vectors
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


def test_no_texts_are_no_vectors(transformers: Worker) -> None:
    assert len(transformers.embed([]).vectors) == 0


def test_a_folder_without_a_model_is_an_error(transformers: Worker, tmp_path: Path) -> None:
    error = transformers.error_of(f"sentence-transformers:{tmp_path}")
    assert error is not None
    assert error.startswith(f"sentence-transformers cannot load {tmp_path}: ")


def test_a_model_that_is_not_on_this_machine_is_an_error_and_not_fetched(transformers: Worker) -> None:
    error = transformers.error_of("sentence-transformers:no-such-maker/no-such-model")
    assert error is not None
    assert error.startswith("sentence-transformers cannot load no-such-maker/no-such-model: ")
