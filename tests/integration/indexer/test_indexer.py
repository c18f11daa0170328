"""The indexer with a real broker and writer: discovery is current, whatever is killed when."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from rugs_discovery.current import build, is_behind
from rugs_discovery.live import Live
from rugs_discovery.store import FOLDER, Part, Store
from rugs_discovery.summary import summarise
from rugs_proto.subjects import ALERTS_DISCOVERY
from rugs_runtime.broker import Broker
from tests.support import derivekit
from tests.support.derivekit import Frame, frame, frames
from tests.support.stackkit import Indexer, Rugs, Writer, caught_up, until

pytestmark = pytest.mark.slow


@pytest.fixture
def writer(tmp_path: Path, broker: Broker) -> Iterator[Writer]:
    """The parquet-writer, started."""
    process = Writer(tmp_path / "data", broker).start()
    yield process
    process.kill()


@pytest.fixture
def indexer(tmp_path: Path, broker: Broker) -> Iterator[Indexer]:
    """The indexer, not yet started."""
    process = Indexer(tmp_path / "data", broker, RUGS_DISCOVERY_SECONDS="0.1")
    yield process
    process.kill()


async def current(nc: Client, root: Path) -> None:
    """Return when discovery has all that the stream holds now."""
    await caught_up(nc, root)

    def has_all() -> bool:
        with Store(root) as store:
            return not is_behind(root, store)

    await until(has_all)


async def reported(root: Path) -> dict[str, Any]:
    """Return `fields.json` when it says all that the store has."""

    def is_said() -> bool:
        manifest = root / FOLDER / "manifest.json"
        with Store(root) as store:
            return manifest.exists() and json.loads(manifest.read_bytes())["position"] == store.position._asdict()  # type: ignore[union-attr]

    await until(is_said)
    said: dict[str, Any] = json.loads((root / FOLDER / "fields.json").read_bytes())
    return said


def from_nothing(root: Path, tmp_path: Path) -> dict[Part, bytes]:
    """Return the parts that a new store of the same lake comes to."""
    moved = tmp_path / "aside"
    (root / FOLDER).rename(moved)
    with Store(root) as store:
        build(root, store)
        parts = {part: state.pack() for part, state in store.parts().items()}
    return parts


async def test_what_is_captured_is_documented_and_what_is_new_is_an_alert(
    nc: Client, writer: Writer, indexer: Indexer, tmp_path: Path
) -> None:
    heard: list[dict[str, Any]] = []

    async def hear(message: Msg) -> None:
        heard.append(json.loads(message.data))

    await nc.subscribe(ALERTS_DISCOVERY, cb=hear)
    told = frames(40)
    await derivekit.publish(nc, told)
    await caught_up(nc, writer.root)
    indexer.start()
    await current(nc, writer.root)
    said = await reported(writer.root)
    assert said["events"]["gameStateUpdate"]["count"] == sum(each["event"] == "gameStateUpdate" for each in told)
    assert not heard, "what was there before is the baseline"

    await derivekit.publish(nc, [frame(1000, "gameStateUpdate", {"brandNew": [{"inside": 1}], "price": "a text"})])
    await until(lambda: len(heard) >= 4)
    assert {(alert["kind"], alert["path"], alert["verdict"]) for alert in heard} >= {
        ("field", "data.brandNew", "additive"),
        ("field", "data.brandNew[].inside", "additive"),
        ("type", "data.price", "breaking"),
    }
    rugs = Rugs(writer.root)
    listed = rugs.json("discovery", "diff")
    assert {drift["text"] for drift in listed} == {alert["text"] for alert in heard}
    assert rugs("discovery", "diff", "--fail-on", "breaking").returncode == 1
    assert rugs.json("discovery", "verify")["total_findings"] == 0
    assert rugs.json("field", "brandNew")[0]["path"] == "data.brandNew"
    built = rugs.json("discovery", "build")
    assert (built["rows"], built["drift"]) == (0, 0), "the indexer has done it"


@pytest.mark.crash
async def test_killed_again_and_again_it_counts_every_event_once(
    nc: Client, writer: Writer, indexer: Indexer, tmp_path: Path
) -> None:
    chance = random.Random(7)
    for number in range(6):
        told: list[Frame] = frames(30, seed=number, session_id=f"s{number}")
        indexer.start()
        await derivekit.publish(nc, told)
        await caught_up(nc, writer.root)
        if chance.random() < 0.7:
            await until((writer.root / FOLDER / "state.sqlite").exists)
        indexer.signal(signal.SIGKILL)
        await until(lambda: indexer.ended is not None)
    indexer.start()
    await current(nc, writer.root)
    indexer.stop()
    with Store(writer.root) as store:
        found = {part: state.pack() for part, state in store.parts().items()}
    assert found == from_nothing(writer.root, tmp_path)


async def test_live_from_the_bus_it_needs_no_lake(stream: Client) -> None:
    stop = asyncio.Event()
    live = Live()
    listening = asyncio.create_task(live.listen(stream, stop, lambda state: None))
    told = frames(40)
    await derivekit.publish(stream, told)
    await until(lambda: live.state.lines > 0)
    await derivekit.publish(stream, frames(40, seed=6, session_id="other"))
    await until(lambda: live.state.lines > len(told))
    stop.set()
    await listening
    summary = summarise(live.state)
    assert "data.price" in summary.events["gameStateUpdate"].fields
    assert live.missed == 0
