"""One Chromium for all tests, a site and a bus for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from rugs_client import Publisher
from rugs_runtime.broker import Broker
from tests.support.cdpkit import Chrome, Site


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    chrome = Chrome(tmp_path_factory.mktemp("chrome"))
    yield chrome
    chrome.kill()


@pytest_asyncio.fixture
async def site(chrome: Chrome) -> AsyncIterator[Site]:
    async with Site.serving() as site:
        yield site
        await chrome.close_all()


@pytest.fixture
def publisher(broker: Broker, tmp_path: Path) -> Iterator[Publisher]:
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        yield publisher
