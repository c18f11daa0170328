"""The indexer keeps the semantic index: with a real broker, writer, table and model, whatever is killed when."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from rugs_index.status import status
from rugs_index.table.errors import IndexAbsentError
from rugs_runtime.broker import Broker
from tests.support import derivekit
from tests.support.derivekit import frame, frames
from tests.support.stackkit import Indexer, Rugs, Writer, caught_up, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SETTINGS = {"RUGS_DISCOVERY_SECONDS": "0.1", "RUGS_INDEX_SECONDS": "0.1"}


@pytest.fixture
def writer(tmp_path: Path, broker: Broker) -> Iterator[Writer]:
    """The parquet-writer, started."""
    process = Writer(tmp_path / "data", broker).start()
    yield process
    process.kill()


def chat(seq: int, text: str) -> Any:
    return frame(seq, "newChatMessage", {"username": "alice", "message": text})


async def current(nc: Client, root: Path) -> None:
    """Return when the index has all that the stream holds now."""
    await caught_up(nc, root)

    def has_all() -> bool:
        try:
            return not status(root)["is_behind"]
        except IndexAbsentError:
            return False

    await until(has_all, limit=300)


async def test_what_is_captured_is_found_by_its_meaning(
    nc: Client, broker: Broker, writer: Writer, tmp_path: Path
) -> None:
    await derivekit.publish(nc, frames(40))
    indexer = Indexer(writer.root, broker, **SETTINGS).start()
    try:
        await current(nc, writer.root)
        await derivekit.publish(nc, [chat(2000, "my wallet was drained by the crash")])
        await current(nc, writer.root)
    finally:
        indexer.stop()
    rugs = Rugs(writer.root)
    found = rugs.json("search", "somebody lost all their money", "--kind", "ws_event", "--event", "newChatMessage")
    assert "my wallet was drained" in found["items"][0]["text"]
    assert found["items"][0]["metadata"]["event_type"] == "newChatMessage"
    proof = rugs.json("index", "verify")
    assert proof["ok"], proof
    checkpoint = json.loads((writer.root / "manifests" / "vector_index_checkpoint.json").read_bytes())
    assert len(checkpoint) == 1


async def test_killed_again_and_again_it_misses_nothing(nc: Client, broker: Broker, writer: Writer) -> None:
    chance = random.Random(3)
    indexer = Indexer(writer.root, broker, RUGS_EMBEDDER="none", **SETTINGS)
    places = ("state", "discovery/state.sqlite", "vectors", "vectors/CURRENT", "manifests/vector_index_checkpoint.json")
    for turn in range(5):
        indexer.start()
        await derivekit.publish(nc, [chat(100 * turn + place + 1, f"message {turn} {place}") for place in range(20)])
        await until((writer.root / chance.choice(places)).exists)
        indexer.signal(signal.SIGKILL)
        await until(lambda: indexer.ended is not None)
    indexer.start()
    try:
        await current(nc, writer.root)
    finally:
        indexer.kill()
    rugs = Rugs(writer.root, RUGS_EMBEDDER="none")
    proof = rugs.json("index", "verify")
    assert proof["ok"], proof
    assert status(writer.root)["kinds"]["ws_event"] == 100


async def test_an_index_that_is_deleted_while_it_runs_comes_back(nc: Client, broker: Broker, writer: Writer) -> None:
    indexer = Indexer(writer.root, broker, RUGS_EMBEDDER="none", **SETTINGS)
    indexer.start()
    try:
        await derivekit.publish(nc, [chat(1, "before")])
        await current(nc, writer.root)
        (writer.root / "vectors").rename(writer.root.parent / "gone")
        await derivekit.publish(nc, [chat(2, "after")])
        await current(nc, writer.root)
        assert status(writer.root)["kinds"]["ws_event"] == 2
    finally:
        indexer.kill()


async def test_a_wrong_setting_is_said_and_discovery_goes_on(nc: Client, broker: Broker, writer: Writer) -> None:
    await derivekit.publish(nc, frames(5))
    indexer = Indexer(writer.root, broker, RUGS_EMBEDDER="openvino:/nothing/here", **SETTINGS).start()
    try:
        rugs = Rugs(writer.root, NATS_URL=broker.url, RUGS_INDEXER_ENABLED="true")

        def error() -> str:
            services = json.loads(rugs("status", "--json").stdout)["services"]
            return next(each["error"] for each in services if each["name"] == "indexer") or ""

        await until(lambda: "/nothing/here" in error())
        await until((writer.root / "discovery" / "manifest.json").exists)
    finally:
        indexer.kill()
