"""Fixtures that several modules of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exportkit import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """A lake that files are imported into and exported from."""
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.close()
