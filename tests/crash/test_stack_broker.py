"""The real broker killed and paused under load, the importer killed, and a disk that fills up."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import rugs_bus
from rugs_lake.maintain.verify import verify
from rugs_runtime.broker import Broker
from rugs_runtime.service import ask_status
from rugs_runtime.stack import running_stack
from tests.support.crashkit import Matrix
from tests.support.lakekit import FULL, body, envelope, id_of
from tests.support.legacy_lines import end, frame, start, tick
from tests.support.stackkit import LIMIT, Rugs, Writer, caught_up, connected, publish, rows, stands_still, until
from tests.support.stackload import Rig, compare

pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """Collects what this module injects, and prints it at the end."""
    collected = Matrix("The broker, the importer and the disk, with a writer at work")
    yield collected
    print(collected)


async def test_a_broker_killed_at_random_moments(tmp_path: Path, matrix: Matrix) -> None:
    """It starts again on the same store and port; publisher and writer find it by themselves."""
    chance = random.Random(21)
    async with Rig.running(tmp_path) as rig:
        rig.writer.start()
        for _ in range(14 if FULL else 2):
            await rig.load.more(chance.randrange(1, 60))
            await asyncio.to_thread(rig.broker.kill)
            await asyncio.sleep(chance.choice((0, 0.1, 0.5)))
            await asyncio.to_thread(rig.broker.start)
            await rig.load.more()
            await rig.progress()
            matrix.note("kill", "broker, any moment", **await rig.judge())
        assert rig.writer.ended is None, rig.writer.log[-2000:]
        await rig.finish()


async def test_broker_and_writer_killed_together(tmp_path: Path, matrix: Matrix) -> None:
    chance = random.Random(22)
    async with Rig.running(tmp_path) as rig:
        for _ in range(8 if FULL else 1):
            rig.writer.start()
            await rig.load.more(chance.randrange(50, 200))
            await asyncio.sleep(chance.uniform(0, 1))
            for kill in chance.sample((rig.broker.kill, rig.writer.kill), 2):
                await asyncio.to_thread(kill)
            matrix.note("kill", "broker and writer at once", **await rig.judge())
            await asyncio.to_thread(rig.broker.start)
        await rig.finish()


GIVEN_UP = {"reading the stream starts anew": "its reader gives up", "bus disconnected": "its connection is lost"}


@pytest.mark.parametrize("sign", list(GIVEN_UP)[: 2 if FULL else 1])
async def test_a_broker_paused_until_the_writer_gives_it_up(tmp_path: Path, matrix: Matrix, sign: str) -> None:
    """Beyond the consumer's patience, and beyond the connection's."""
    async with Rig.running(tmp_path) as rig:
        rig.writer.start()
        for _ in range(3 if FULL else 1):
            await rig.progress()
            noticed = rig.writer.log.count(sign)
            rig.broker.signal(signal.SIGSTOP)
            assert rig.broker.pid is not None
            await until(lambda: stands_still(rig.broker.pid or 0))
            await until(lambda noticed=noticed: rig.writer.log.count(sign) > noticed)  # type: ignore[misc]
            rig.broker.signal(signal.SIGCONT)
            await rig.load.more()
            await rig.progress()
            matrix.note("pause", f"broker, until {GIVEN_UP[sign]}", **await rig.judge())
        assert rig.writer.ended is None, rig.writer.log[-2000:]
        await rig.finish()


class Importing:
    """A folder of recordings, and the importer's process on it."""

    def __init__(self, folder: Path, root: Path, url: str) -> None:
        self.folder = folder
        self.root = root
        self._environment = {**os.environ, "NATS_URL": url, "RUGS_DATA_DIR": str(root)}
        folder.mkdir()
        chance = random.Random(31)
        frames = [frame(n, data={"gameId": "g", "filling": chance.randbytes(400).hex()}) for n in range(4_000)]
        self.lines = Counter(frames)
        (folder / "2098-12-31_22-00-00_raw.jsonl").write_bytes(b"".join(line + b"\n" for line in frames))
        for number in range(12):
            lines = [start(number=number), *(tick(n, game_id=f"game-{number}") for n in range(100)), end(number=number)]
            damaged = lines[5][:30]
            self.lines.update([*lines, damaged])
            content = b"".join(line + b"\n" for line in [*lines, damaged])
            (folder / f"game_20981231_2200{number:02}.jsonl").write_bytes(content)

    def begin(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "legacy_importer.main", str(self.folder), "--wait", "--json"]
        return subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def end(self) -> dict[str, Any]:
        process = self.begin()
        out, err = process.communicate(timeout=LIMIT * 2)
        assert process.returncode == 0, err
        told: dict[str, Any] = json.loads(out)
        return told

    def judge(self, *, whole: bool = False) -> dict[str, int]:
        """Compare every line with what was in the files: each is an event or a reject, once."""
        query = "SELECT coalesce(raw_bin, encode(raw)) FROM (FROM events UNION ALL FROM reject)"
        found = Counter(bytes(raw) for (raw,) in rows(self.root, query))
        report = verify(self.root, fast=not whole)
        assert report.ok, report.as_dict()
        return {
            "lost": (self.lines - found).total() if whole else 0,
            "doubled": sum((found - self.lines)[line] for line in self.lines),
            "torn": sum(line not in self.lines for line in found),
        }


async def something_stored(url: str) -> None:
    """Wait until the stream is there and has a message."""

    async def has_message() -> bool:
        with suppress(rugs_bus.StreamAbsentError):  # the writer has not made it yet
            return (await rugs_bus.stream_state(nc)).messages > 0
        return False

    async with connected(url) as nc:
        await until(has_message)


async def test_an_importer_killed_at_random_moments(tmp_path: Path, matrix: Matrix) -> None:
    """The same import again does the rest; what was sent already is known by its ids."""
    chance = random.Random(23)
    broker = Broker(tmp_path / "broker")
    broker.start()
    writer = Writer(tmp_path / "lake", broker).start()
    try:
        importing = Importing(tmp_path / "recordings", writer.root, broker.url)
        killed = 0
        for turn in range(12 if FULL else 2):
            process = importing.begin()
            if turn == 0:  # for sure before its end: what it sent is not committed yet
                await something_stored(broker.url)
            else:
                await asyncio.sleep(chance.uniform(0.4, 1.3))
            process.kill()
            await asyncio.to_thread(process.communicate)
            killed += process.returncode == -signal.SIGKILL
            async with connected(broker.url) as nc:
                await caught_up(nc, writer.root)
            matrix.note("kill", "importer, any moment", **await asyncio.to_thread(importing.judge))
        assert killed > 0
        told = await asyncio.to_thread(importing.end)
        assert told["records"] + told["salvaged"] == told["stored"] + told["duplicates"] == 4_000 + 12 * 102
        assert (await asyncio.to_thread(importing.end))["stored"] == 0
        assert importing.judge(whole=True) == {"lost": 0, "doubled": 0, "torn": 0}
        assert writer.ended is None
    finally:
        writer.kill()
        broker.kill()


async def test_importer_writer_and_broker_killed_during_one_import(tmp_path: Path, matrix: Matrix) -> None:
    """The importer waits for both, and its counts hold in the end."""
    chance = random.Random(24)
    broker = Broker(tmp_path / "broker")
    broker.start()
    writer = Writer(tmp_path / "lake", broker).start()
    try:
        importing = Importing(tmp_path / "recordings", writer.root, broker.url)
        process = importing.begin()
        faults = 0
        while process.poll() is None and faults < (8 if FULL else 2):
            await asyncio.sleep(chance.uniform(0.3, 0.8))
            if faults % 2:
                await asyncio.to_thread(broker.kill)
                await asyncio.to_thread(broker.start)
            else:
                writer.kill()
                writer.start()
            faults += 1
            matrix.note("kill", f"{'broker' if faults % 2 == 0 else 'writer'} during an import", lost=0)
        out, err = await asyncio.to_thread(process.communicate, timeout=LIMIT * 2)
        assert process.returncode == 0, err
        told = json.loads(out)
        assert told["records"] + told["salvaged"] == told["stored"] + told["duplicates"] == 4_000 + 12 * 102
        await asyncio.to_thread(writer.stop)
        assert importing.judge(whole=True) == {"lost": 0, "doubled": 0, "torn": 0}
    finally:
        writer.kill()
        broker.kill()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of a few bytes at a folder, while the body runs."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip("only root can make a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def enlarge(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)


@pytest.mark.parametrize("where", ["events_parquet", "."][: 2 if FULL else 1])
async def test_a_full_disk_stops_the_writer_which_says_so_and_resumes(
    tmp_path: Path, matrix: Matrix, where: str
) -> None:
    """Either the disk that the files are on, or the catalog's as well."""
    root = tmp_path / "lake"
    folder = root / where
    with small_disk(folder, "1500k" if where == "." else "600k"):
        broker = Broker(tmp_path / "broker")
        broker.start()
        writer = Writer(root, broker).start()
        try:
            async with connected(broker.url) as nc:
                await rugs_bus.ensure_streams(nc, rugs_bus.StreamSettings(max_bytes=1 << 28))
                told = {}
                for seq in range(1, 151):
                    event = envelope(seq, raw=os.urandom(20_000))
                    told[id_of(event)] = event["raw"]
                    await publish(nc, "rugs.events.ws_event.public_ws.x", body(event))

                async def status(state: str) -> bool:
                    answer = await ask_status(nc, "parquet-writer")
                    if answer is None or answer["state"] != state:
                        return False
                    error = str(answer["error"])
                    said = error.startswith("cannot write the lake") and re.search("full|No space left", error)
                    return error == "None" if state == "running" else said is not None

                await until(lambda: status("blocked"))
                assert writer.ended is None
                assert verify(root).ok
                before = compare(root, told, set())
                assert before == {"lost": 0, "doubled": 0, "torn": 0}
                await asyncio.to_thread(enlarge, folder)
                await caught_up(nc, root)
                await until(lambda: status("running"))
            matrix.note("disk full", f"{'everything' if where == '.' else where}", **compare(root, told, set(told)))
            assert await asyncio.to_thread(writer.stop) == 0
            assert compare(root, told, set(told)) == before
            assert verify(root).ok
        finally:
            writer.kill()
            broker.kill()


async def test_a_writer_told_to_stop_while_the_disk_is_full_ends_in_order(tmp_path: Path, matrix: Matrix) -> None:
    root = tmp_path / "lake"
    folder = root / "events_parquet"
    with small_disk(folder, "300k"):
        broker = Broker(tmp_path / "broker")
        broker.start()
        writer = Writer(root, broker).start()
        try:
            async with connected(broker.url) as nc:
                await rugs_bus.ensure_streams(nc, rugs_bus.StreamSettings(max_bytes=1 << 28))
                for seq in range(1, 41):
                    await publish(nc, "rugs.events.ws_event.public_ws.x", body(envelope(seq, raw=os.urandom(20_000))))
                await until(lambda: "cannot write the lake" in writer.log)
                assert await asyncio.to_thread(writer.stop) == 0, writer.log[-2000:]
                await asyncio.to_thread(enlarge, folder)
                writer.start()
                await caught_up(nc, root)
            assert rows(root, "SELECT count(*), count(DISTINCT id) FROM events") == [(40, 40)]
            assert await asyncio.to_thread(writer.stop) == 0
            assert verify(root).ok
            matrix.note("disk full", "and told to stop", lost=0)
        finally:
            writer.kill()
            broker.kill()


async def test_a_full_disk_stops_the_whole_stack_which_resumes(tmp_path: Path, matrix: Matrix) -> None:
    """A server that could once not write takes nothing more until it is started anew: the stack does that."""
    limits = {"RUGS_STREAM_MAX_BYTES": "30000000", "RUGS_STREAM_KEEP_BYTES": "20000000"}
    root = tmp_path / "data"
    with small_disk(root, "60m"):
        rugs = Rugs(root, RUGS_FLUSH_SECONDS="0.2", RUGS_SOURCES="http", **limits)
        assert rugs("up", "--detach").returncode == 0
        try:
            async with rugs.bus() as nc:
                publisher = rugs_bus.Publisher(nc, ack_timeout=1.0)
                await asyncio.to_thread(fill, root)
                told = {}
                taken = []
                for seq in range(1, 61):
                    event = envelope(seq, raw=os.urandom(5_000))
                    told[id_of(event)] = event["raw"]
                    subject = "rugs.events.ws_event.public_ws.x"
                    taken.append(await publisher.publish(subject, body(event), msg_id=f"full-{seq}", key=f"{seq % 4}"))
                log_file = root / "state" / "broker" / "nats-server.log"
                await until(lambda: b"write error" in log_file.read_bytes())
                assert not any(future.done() for future in taken)
                killed = process_id(root, "parquet-writer")
                status = await asyncio.to_thread(rugs, "status")
                assert status.returncode == 1
                assert re.search(b"full|No space left", status.stdout)
                # Who dies on a full disk is started again all the same, and as often as it takes.
                for victim in (killed, process_id(root, "nats-server")):
                    os.kill(victim, signal.SIGKILL)
                await until(lambda: writers(root) - {killed})
                await asyncio.to_thread((root / "filling").unlink)
                await publisher.flush(LIMIT)
                await publisher.close()
                await caught_up(nc, root)
                await until(lambda: rugs("status").returncode == 0)
                assert process_id(root, "parquet-writer") != killed
            outcome = compare(root, told, set(told))
            assert outcome == {"lost": 0, "doubled": 0, "torn": 0}
            matrix.note("disk full", "the whole stack's", **outcome)
            assert rugs.json("verify")["ok"] is True
        finally:
            rugs("down")


def fill(folder: Path) -> None:
    """Leave not a byte on the disk."""
    handle = os.open(folder / "filling", os.O_WRONLY | os.O_CREAT)
    try:
        with suppress(OSError):
            while True:
                os.write(handle, bytes(4096))
    finally:
        os.close(handle)


def writers(root: Path) -> set[int]:
    """Return the writers that the stack's process has started and that live."""
    info = running_stack(root)
    assert info is not None
    found = set()
    for process in psutil.Process(info.pid).children():
        with suppress(psutil.NoSuchProcess):
            if "parquet_writer.main" in process.cmdline():
                found.add(process.pid)
    return found


def process_id(root: Path, name: str) -> int:
    info = running_stack(root)
    assert info is not None
    return next(process.pid or 0 for process in info.processes if process.name == name)
