"""Fixtures that several modules of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import lakekit
from tests.support.exportkit import Shelf
from tests.support.lakekit import LAST, envelope, message


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """A lake that files are imported into and exported from."""
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.close()


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of three files; its writer is gone."""
    root = tmp_path / "lake"
    lakekit.store(root, message(1, *map(envelope, range(1, 4))), message(2, envelope(4), envelope(5)), LAST)
    return root
