"""A running stack for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stackkit import Rugs


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rugs]:
    """`rugs up --detach` on a data folder of its own, shared by a module's tests; `rugs down` at the end."""
    rugs = Rugs(tmp_path_factory.mktemp("stack") / "data")
    up = rugs("up", "--detach")
    assert up.returncode == 0, up.stderr
    yield rugs
    assert rugs("down").returncode == 0
