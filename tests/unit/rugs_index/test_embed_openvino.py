"""The default embedder: right vectors, whatever else is embedded, and a defined result for every text."""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from rugs_core.files import sha256_of
from rugs_index.embedders import EmbeddingError, MissingModelError
from rugs_index.embedders.installed import default_model_folder
from rugs_index.embedders.openvino import OpenVinoEmbedder
from rugs_index.embedders.tokens import FirstTokens
from tests.support.embedkit import default_embedder, reference
from tests.support.examples import examples

LOWEST_COSINE = 0.9999
MOST_TOKENS = 256


@pytest.mark.parametrize("vector", reference()["vectors"], ids=lambda vector: str(vector["name"]))
def test_vectors_are_those_of_the_reference(vector: dict[str, Any]) -> None:
    mine = default_embedder().embed_query(vector["text"])
    assert float(mine @ np.array(vector["vector"], dtype=np.float32)) >= LOWEST_COSINE


def test_the_reference_is_of_the_installed_weights() -> None:
    assert reference()["weights_sha256"] == sha256_of(default_model_folder() / "model.safetensors")


def test_the_identity_says_what_decides_the_vectors() -> None:
    identity = default_embedder().identity
    assert (identity.model, identity.dimension, identity.library, identity.precision) == (
        *("all-MiniLM-L6-v2", 384),
        *("openvino", "f32"),
    )
    assert len(identity.weights) == 64
    assert identity.as_json()["weights"] == identity.weights
    assert identity.slug.startswith("openvino-all-MiniLM-L6-v2-384-f32-")


@settings(max_examples=examples(30))
@given(st.lists(st.text(max_size=200), min_size=1, max_size=12), st.data())
def test_a_text_has_the_same_vector_alone_and_among_others(texts: list[str], data: st.DataObject) -> None:
    together = default_embedder().embed(texts)
    index = data.draw(st.integers(0, len(texts) - 1))
    alone = default_embedder().embed([texts[index]])[0]
    np.testing.assert_allclose(together[index], alone, atol=1e-6)


def test_a_long_text_among_short_ones_changes_none_of_them() -> None:
    texts = ["price", "tick " * 200, "", "the game rugged", "price " * 90] * 5
    together = default_embedder().embed(texts)
    for index in range(5):
        np.testing.assert_allclose(together[index], default_embedder().embed_query(texts[index]), atol=1e-6)
        np.testing.assert_allclose(together[index], together[index + 20], atol=1e-6)


@pytest.mark.slow
def test_vectors_do_not_depend_on_the_number_of_threads() -> None:
    texts = [vector["text"] for vector in reference()["vectors"]]
    two = OpenVinoEmbedder(threads=2)
    np.testing.assert_allclose(default_embedder().embed(texts), two.embed(texts), atol=1e-6)


@pytest.mark.parametrize(
    "text",
    ["", " \n\t", "🚀🔥", "\u0301", "\ud800", "x\udfff y", "\x00", "[CLS]", "x" * 5000, "a\u0301" * 3000],
    ids=repr,
)
def test_any_text_has_a_vector_of_length_one(text: str) -> None:
    vector = default_embedder().embed_query(text)
    assert vector.dtype == np.float32
    assert vector.shape == (384,)
    assert abs(float(np.linalg.norm(vector.astype(np.float64))) - 1) < 1e-5


def test_no_texts_are_no_vectors() -> None:
    assert default_embedder().embed([]).shape == (0, 384)


def test_a_lone_surrogate_counts_as_its_escape() -> None:
    np.testing.assert_array_equal(
        default_embedder().embed_query("a \ud83d b"), default_embedder().embed_query("a \\ud83d b")
    )


@pytest.mark.slow
@pytest.mark.parametrize("text", ["word ", "x", "价", ", ", "🚀", "line\n"])
def test_of_a_megabyte_the_first_tokens_count(text: str) -> None:
    count = (1 << 20) // len(text.encode())
    first = {"x": "x" * 200, "🚀": "🚀" * 200}.get(text, text * 300)  # longer than a word may be, or than is read
    np.testing.assert_allclose(
        default_embedder().embed_query(text * count), default_embedder().embed_query(first), atol=1e-6
    )


@functools.cache
def _whole_reader() -> Tokenizer:
    """Return the tokenizer that reads a whole text, and then cuts."""
    tokenizer = Tokenizer.from_file(str(default_model_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_TOKENS)
    return tokenizer


@functools.cache
def _first_tokens() -> FirstTokens:
    return FirstTokens(default_model_folder() / "tokenizer.json", MOST_TOKENS)


@settings(max_examples=examples(60))
@given(st.text(alphabet=st.sampled_from("ab ,.\n价é\u0301🚀'\t-"), min_size=1, max_size=60), st.integers(1, 600))
def test_reading_only_the_beginning_of_a_long_text_changes_nothing(part: str, count: int) -> None:
    text = part * count
    assert _first_tokens().ids(text) == _whole_reader().encode(text).ids


def _cut(content: bytes) -> bytes:
    return content[:-1000]


def _empty(_: bytes) -> bytes:
    return b""


def _no_header(_: bytes) -> bytes:
    return b"\xff" * 100


def _with(old: str, new: str) -> Callable[[bytes], bytes]:
    assert len(old) == len(new)
    return lambda content: content.replace(old.encode(), new.encode(), 1)


def _change(path: Path, content: bytes) -> None:
    """Replace a file, and leave alone the one that it is a link to."""
    path.unlink()
    path.write_bytes(content)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the installed model, of links."""
    return Path(shutil.copytree(default_model_folder(), tmp_path / "a-model", copy_function=os.symlink))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, "is cut"),
        (_empty, "no intact safetensors file"),
        (_no_header, "no intact safetensors file"),
        (_with("encoder.layer.3.output.dense.bias", "x" * 33), "encoder.layer.3.output.dense.bias is not there"),
        (_with('"dtype":"F32","shape":[384]', '"dtype":"F16","shape":[384]'), "numbers of type F16"),
        (_with('"shape":[384]', '"shape":[383]'), "another size than its shape says"),
        (_with("[1536,384]", "[384,1536]"), "OpenVINO cannot build the model"),
    ],
    ids=["cut", "empty", "no header", "a tensor is missing", "other numbers", "a wrong size", "a wrong shape"],
)
def test_damaged_weights_are_an_error_that_says_so(model: Path, damage: Callable[[bytes], bytes], message: str) -> None:
    weights = model / "model.safetensors"
    _change(weights, damage(weights.read_bytes()))
    with pytest.raises(EmbeddingError, match=message):
        OpenVinoEmbedder(model, threads=1)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"])
def test_a_missing_file_is_an_error_that_names_it(model: Path, name: str) -> None:
    (model / name).unlink()
    with pytest.raises(MissingModelError, match=name):
        OpenVinoEmbedder(model, threads=1)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "sentence_bert_config.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "\x00"])
def test_a_damaged_setting_is_an_error_that_names_its_file(model: Path, name: str, content: str) -> None:
    _change(model / name, content.encode())
    with pytest.raises(EmbeddingError, match=name):
        OpenVinoEmbedder(model, threads=1)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("config.json", {"model_type": "mpnet"}, "mpnet"),
        ("config.json", {"hidden_act": "relu"}, "relu"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pooling_mode_max_tokens"),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "no pooling"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "do_lower_case"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(model: Path, name: str, changes: dict[str, Any], message: str) -> None:
    path = model / name
    _change(path, json.dumps(json.loads(path.read_text()) | changes).encode())
    with pytest.raises(EmbeddingError, match=f"{message}'?, which cannot be built here: use sentence-transformers:"):
        OpenVinoEmbedder(model, threads=1)


@pytest.mark.slow
def test_a_model_that_pools_the_first_token_is_built(model: Path) -> None:
    pooling = {"word_embedding_dimension": 384, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    _change(model / "1_Pooling/config.json", json.dumps(pooling).encode())
    embedder = OpenVinoEmbedder(model, threads=1)
    assert embedder.identity.model == "a-model"
    assert embedder.identity.weights != default_embedder().identity.weights
    vectors = embedder.embed(["price", "the game rugged"])
    np.testing.assert_allclose(vectors[0], embedder.embed_query("price"), atol=1e-6)
    assert abs(float(vectors[0] @ default_embedder().embed_query("price"))) < LOWEST_COSINE
