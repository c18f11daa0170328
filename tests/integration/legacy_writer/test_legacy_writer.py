"""The legacy-writer with a real broker: its files are what the old recorders would have written."""

from __future__ import annotations

import asyncio
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

import rugs_bus
from rugs_bus import StreamSettings
from rugs_lake.store.paths import LakePaths
from rugs_legacy.line_formats.request import Format
from rugs_runtime.broker import Broker
from tests.support import derivekit
from tests.support.derivekit import Frame, frames, packed
from tests.support.dualkit import LegacyWriter, expected, written
from tests.support.exportkit import Shelf
from tests.support.stackkit import LIMIT, Writer, caught_up, clean_environment, cursor, publish, until

pytestmark = pytest.mark.slow

START = 1_764_640_800_000_000


@pytest.fixture
def writer(tmp_path: Path, broker: Broker) -> Iterator[Writer]:
    """The parquet-writer, not yet started."""
    process = Writer(tmp_path / "data", broker)
    yield process
    process.kill()


@pytest.fixture
def legacy(tmp_path: Path, broker: Broker) -> Iterator[LegacyWriter]:
    """The legacy-writer, not yet started."""
    process = LegacyWriter(tmp_path / "data", broker, tmp_path / "old")
    yield process
    process.kill()


def both_sources(count: int = 600) -> list[Frame]:
    told = frames(count, seed=12, start=START, session_id="a")
    cdp = [{**each, "source": "cdp", "session_id": "c"} for each in told]
    return [each for pair in zip(told, cdp, strict=True) for each in pair]


async def begin(nc: Client, writer: Writer, legacy: LegacyWriter, told: list[Frame]) -> None:
    """Start both, and let the legacy-writer write what there is by then."""
    writer.start()
    legacy.start()
    await derivekit.publish(nc, told)
    await legacy.done(nc)


async def test_a_reader_of_the_files_gets_what_the_lake_has(
    nc: Client, writer: Writer, legacy: LegacyWriter, tmp_path: Path
) -> None:
    told = both_sources(1_200)
    writer.start()
    legacy.start()
    await until(lambda: legacy.status(nc))
    await derivekit.publish(nc, told)
    status = await legacy.done(nc)
    await caught_up(nc, writer.root)
    assert (status["state"], status["error"], status["missing"], status["repeated"]) == ("running", None, 0, 0)
    assert written(legacy.folder) == expected(told, tmp_path / "expected")
    assert (legacy.stop(), writer.stop()) == (0, 0)
    shelf = Shelf(tmp_path)
    try:
        report = shelf.reconcile(legacy.folder)
        assert report.is_equal, report.as_dict()
        assert report.live_files == len(written(legacy.folder))
        exported = tmp_path / "exported"
        shelf.export(Format.GAME, "exported", source="public_ws")
        ended = {name for name, content in written(legacy.folder).items() if b'"game_end"' in content}
        assert ended
        for name in ended:
            assert (exported / name).read_bytes() == (legacy.folder / name).read_bytes()
        taken = shelf.take_in_all(legacy.folder)
        assert taken.stored == sum(content.count(b"\n") for content in written(legacy.folder).values())
    finally:
        shelf.close()


async def test_what_the_stream_has_no_more_is_read_from_the_lake(
    nc: Client, writer: Writer, legacy: LegacyWriter, tmp_path: Path
) -> None:
    told = both_sources()
    writer.start()
    await until((tmp_path / "data" / "manifests").exists)
    legacy.start()
    await derivekit.publish(nc, told[:300], batch=1)
    await legacy.done(nc)
    legacy.kill()
    last = await derivekit.publish(nc, told[300:900])
    await caught_up(nc, writer.root)
    await rugs_bus.purge_below(nc, last - 20)
    await derivekit.publish(nc, told[900:])
    legacy.start()
    assert (await legacy.done(nc))["missing"] == 0
    assert written(legacy.folder) == expected(told, tmp_path / "expected")


async def test_what_nobody_has_any_more_is_said_loudly(nc: Client, writer: Writer, legacy: LegacyWriter) -> None:
    told = both_sources(100)
    await begin(nc, writer, legacy, told[:50])
    await caught_up(nc, writer.root)
    legacy.kill()
    writer.kill()
    await derivekit.publish(nc, told[50:150])
    await rugs_bus.purge_below(nc, 101)
    legacy.start()
    assert (await legacy.done(nc))["missing"] == 50
    assert "lines may be missing" in legacy.log


async def test_another_life_of_the_stream_goes_on_behind_what_the_lake_has_of_the_last(
    nc: Client, broker: Broker, writer: Writer, legacy: LegacyWriter, tmp_path: Path
) -> None:
    told = both_sources()
    await begin(nc, writer, legacy, told[:300])
    legacy.kill()
    await derivekit.publish(nc, told[300:500])
    await caught_up(nc, writer.root)
    writer.kill()
    await nc.jetstream().delete_stream("RUGS_EVENTS")
    await rugs_bus.ensure_streams(nc, StreamSettings(max_bytes=1 << 30))
    await derivekit.publish(nc, told[450:])  # some come again
    writer.start()
    legacy.start()
    assert (await legacy.done(nc))["missing"] == 0
    assert written(legacy.folder) == expected(told, tmp_path / "expected")


async def test_a_lake_that_cannot_be_read_is_waited_for(
    nc: Client, writer: Writer, legacy: LegacyWriter, tmp_path: Path
) -> None:
    """First its catalog, then one of its files: it is not taken for one that has nothing, and no line is missing."""
    told = both_sources()
    await begin(nc, writer, legacy, told[:300])
    legacy.kill()
    await derivekit.publish(nc, told[300:])
    last = (await caught_up(nc, writer.root)).last_seq
    assert await asyncio.to_thread(writer.stop) == 0
    await rugs_bus.purge_below(nc, last)
    manifests = LakePaths(writer.root).manifests
    file = max(LakePaths(writer.root).data.glob("doc_type=ws_event/*/*.parquet"))
    file.rename(tmp_path / "file")
    manifests.rename(tmp_path / "manifests")
    manifests.symlink_to(tmp_path / "not mounted")
    legacy.start()

    async def says(what: str) -> bool:
        status = await legacy.status(nc)
        return status.get("state") == "blocked" and what in str(status["error"])

    await until(lambda: says(str(manifests)))
    manifests.unlink()
    (tmp_path / "manifests").rename(manifests)
    await until(lambda: says(file.name))
    (tmp_path / "file").rename(file)
    assert (await legacy.done(nc))["missing"] == 0
    assert written(legacy.folder) == expected(told, tmp_path / "expected")


async def test_a_frame_too_large_for_a_message_is_a_line_too(
    nc: Client, writer: Writer, legacy: LegacyWriter, tmp_path: Path
) -> None:
    told = frames(20, seed=12, start=START)
    large = told[10]
    raw = large["raw"].encode()
    await rugs_bus.ensure_streams(nc, StreamSettings(max_bytes=1 << 30))
    await rugs_bus.put_blob(nc, derivekit.id_of(large), raw)
    sent = {key: value for key, value in large.items() if key != "raw"}
    writer.start()
    legacy.start()
    await until(lambda: legacy.status(nc))
    await derivekit.publish(nc, told[:10])
    subject = f"rugs.events.ws_event.public_ws.{large['event']}"
    await publish(nc, subject, packed({**sent, "id": derivekit.id_of(large), "blob": derivekit.digest(raw)}))
    await derivekit.publish(nc, told[11:])
    assert (await legacy.done(nc))["missing"] == 0
    assert written(legacy.folder) == expected(told, tmp_path / "expected")


async def test_a_disk_that_takes_no_more_stops_it_and_it_goes_on_by_itself(
    nc: Client, writer: Writer, legacy: LegacyWriter, tmp_path: Path
) -> None:
    told = both_sources()
    await begin(nc, writer, legacy, told[:300])
    assert legacy.process is not None
    limits = resource.prlimit(legacy.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(legacy.process.pid, resource.RLIMIT_FSIZE, (100_000, limits[1]))
    await derivekit.publish(nc, told[300:])

    async def is_blocked() -> bool:
        return (await legacy.status(nc)).get("state") == "blocked"

    await until(is_blocked)
    assert "cannot write the old files" in (await legacy.status(nc))["error"]
    resource.prlimit(legacy.process.pid, resource.RLIMIT_FSIZE, limits)
    assert (await legacy.done(nc))["error"] is None
    assert written(legacy.folder) == expected(told, tmp_path / "expected")


async def test_stopped_it_leaves_nothing_behind_and_two_do_not_write_at_once(
    nc: Client, broker: Broker, writer: Writer, legacy: LegacyWriter, tmp_path: Path
) -> None:
    told = both_sources(100)
    writer.start()
    legacy.start()
    await until(lambda: legacy.status(nc))
    second = LegacyWriter(tmp_path / "data", broker, legacy.folder).start()
    try:
        await until(lambda: "waiting until it ends" in second.log)
        await derivekit.publish(nc, told)
        await legacy.done(nc)
        assert legacy.stop() == 0
        await until(lambda: second.status(nc))
        assert (await second.done(nc))["missing"] == 0
        assert written(legacy.folder) == expected(told, tmp_path / "expected")
        assert second.stop() == 0
    finally:
        second.kill()


async def test_told_to_stop_who_writes_first_takes_what_the_stream_holds(
    nc: Client, writer: Writer, legacy: LegacyWriter, tmp_path: Path
) -> None:
    told = both_sources()
    await begin(nc, writer, legacy, told[:50])
    await caught_up(nc, writer.root)
    for process in (writer, legacy):  # both have fallen behind
        process.signal(signal.SIGSTOP)
    await until(lambda: writer.is_paused and legacy.is_paused)
    last = await derivekit.publish(nc, told[50:])
    assert [await asyncio.to_thread(process.stop) for process in (legacy, writer)] == [0, 0]
    at = cursor(writer.root)
    assert at is not None
    assert at.last_seq == last
    assert written(legacy.folder) == expected(told, tmp_path / "expected")
    assert "not at the end of the stream" not in legacy.log + writer.log


def test_without_being_wanted_it_does_nothing_and_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "legacy_writer.main"],
        env=clean_environment(RUGS_DATA_DIR=str(tmp_path / "data"), RUGS_LEGACY_DIR=str(tmp_path / "old")),
        capture_output=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0
    assert b"REPLAYER_LEGACY_RECORDERS_ENABLED is not true" in done.stderr
    assert [*tmp_path.iterdir()] == []
