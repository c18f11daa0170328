"""The client in processes of its own: killed, forked, ended without closing, with a failing disk."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nats.aio.client import Client

from rugs_client import Publisher
from rugs_runtime.broker import Broker
from tests.conftest import Until
from tests.support.clientkit import Producer, assert_whole, flush, publish, secure, stored

pytestmark = pytest.mark.slow


async def run(program: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_a_disk_that_fails_in_the_middle_stops_nobody(stream: Client, broker: Broker, tmp_path: Path) -> None:
    broker.kill()
    program = (
        "import resource, sys\n"
        "from rugs_client import Publisher\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))\n"
        f"publisher = Publisher({broker.url!r}, source='cdp', spool_dir={str(tmp_path / 'spool')!r})\n"
        "for number in range(1, 401):\n"
        "    assert publisher.publish('e', raw=' ' * 7000, fields={'n': number})\n"
        "    if number == 20: assert publisher.secure(10)\n"
        "assert not publisher.secure(0.5)\n"
        "assert 'spool fails' in publisher.stats.trouble\n"
        "print('full', file=sys.stderr, flush=True)\n"
        "sys.stdin.readline()\n"
        "assert publisher.stats.dropped == publisher.stats.refused == 0\n"
        "while publisher.stats.sent < 400: publisher.flush(0.1)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "assert publisher.flush(10)\n"
        "assert publisher.stats.spooled == 0\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    told = await asyncio.wait_for(process.stderr.readline(), 30)
    broker.start()
    _, said = await asyncio.wait_for(process.communicate(b"\n"), 30)
    assert (told, process.returncode) == (b"full\n", 0), told + said
    events = await stored(stream)
    assert assert_whole(events, up_to=400) == []
    assert [e.fields["n"] for e in events] == list(range(1, 401))


async def test_a_program_that_ends_without_closing_leaves_its_events_in_the_spool(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    broker.kill()
    program = (
        "from rugs_client import Publisher\n"
        f"publisher = Publisher({broker.url!r}, source='cdp', spool_dir={str(tmp_path / 'spool')!r}, close_timeout=0)\n"
        "for number in range(500): publisher.publish('e', fields={'n': number})\n"
    )
    await run(program)
    broker.start()
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        assert await flush(publisher)
    assert assert_whole(await stored(stream), up_to=500) == []


async def test_a_forked_child_is_left_alone(stream: Client, broker: Broker, tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from rugs_client import Publisher\n"
        f"publisher = Publisher({broker.url!r}, source='cdp', spool_dir={str(tmp_path / 'spool')!r})\n"
        "publisher.publish('parent')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    assert not publisher.publish('child')\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "publisher.publish('parent')\n"
        "assert publisher.flush(10)\n"
    )
    await run(program)
    assert [e.event for e in await stored(stream)] == ["parent", "parent"]


def test_it_needs_nothing_but_the_base_distribution(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in {'msgspec', 'pyarrow', 'duckdb', 'orjson', 'pydantic_settings', 'typer',"
        " 'rich', 'psutil'}:\n"
        "            raise ModuleNotFoundError(f'blocked: {name}')\n"
        "sys.meta_path.insert(0, Block())\n"
        "import rugs_client\n"
        "with rugs_client.Publisher('nats://127.0.0.1:1', source='ui', spool_dir=sys.argv[1], close_timeout=0) as p:\n"
        "    assert p.publish('e', fields={'n': 1})\n"
        "    assert p.secure(10)\n"
        "allowed = {'rugs_client', 'rugs_proto', 'rugs_bus', 'rugs_core'}\n"
        "assert {n.partition('.')[0] for n in sys.modules if n.startswith('rugs_')} == allowed\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, timeout=30, cwd=tmp_path)


@pytest.mark.crash
async def test_broker_away_for_the_whole_session_killed_and_restarted(
    stream: Client, broker: Broker, until: Until, tmp_path: Path
) -> None:
    broker.kill()
    durable = []
    for _ in range(3):
        producer = Producer(broker.url, tmp_path / "spool")
        await until(lambda producer=producer: producer.durable >= 200)  # type: ignore[misc]
        durable.append(producer.kill())
    broker.start()
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool", session_id="mine") as publisher:
        assert await flush(publisher)
    events = await stored(stream)
    sessions = list(dict.fromkeys(e.session_id for e in events))
    assert len(sessions) == 3
    for session, number in zip(sessions, durable, strict=True):
        mine = [e for e in events if e.session_id == session]
        [gap] = assert_whole(mine)
        assert gap.fields["cause"] == "the process ended without closing"
        assert mine[-1] is gap
        assert [e.fields["n"] for e in mine[:-1]] == list(range(1, len(mine)))
        assert len(mine) - 1 >= number >= 200


@pytest.mark.crash
async def test_producer_and_broker_are_killed_again_and_again(
    stream: Client, broker: Broker, until: Until, tmp_path: Path
) -> None:
    """One session goes on through every kill: each durable event once, all others inside a gap."""
    durable: list[int] = []
    for life in range(8):
        if life % 3 == 1:
            broker.kill()
        producer = Producer(broker.url, tmp_path / "spool", session_id="s")
        await until(lambda producer=producer: producer.durable >= 60)  # type: ignore[misc]
        if life % 4 == 2:
            broker.kill()
            await asyncio.sleep(0.15)
        elif life % 3 == 1:
            broker.start()
            await asyncio.sleep(0.1)
        durable.append(producer.kill())
        if broker.pid is None:
            broker.start()
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool", session_id="s") as publisher:
        publisher.publish("end")
        assert await flush(publisher)
    events = await stored(stream)
    gaps = assert_whole(events)
    assert len(gaps) == 8
    lives: list[list[int]] = [[]]
    for event in events[:-1]:
        if event.event == "gap":
            lives.append([])
        else:
            lives[-1].append(event.fields["n"])
    assert lives.pop() == []
    for numbers, known in zip(lives, durable, strict=True):
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= known
    print(f"8 kills: {sum(durable)} known to be durable, {sum(map(len, lives))} stored once, {len(gaps)} gaps")


async def test_damage_to_the_spool_is_told_of(stream: Client, broker: Broker, tmp_path: Path) -> None:
    broker.kill()
    with Publisher(
        broker.url, source="cdp", spool_dir=tmp_path / "spool", session_id="s", close_timeout=0
    ) as publisher:
        publish(publisher, range(1, 101))
        assert await secure(publisher)
    file = tmp_path / "spool" / "0" / "events.sqlite"
    os.truncate(file, file.stat().st_size * 2 // 3)
    broker.start()
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool", session_id="s") as publisher:
        publish(publisher, range(1, 11))
        assert await flush(publisher)
        assert publisher.session_id != "s"
    events = await stored(stream)
    kept = [e for e in events if e.session_id == "s"]
    assert 20 < len(kept) < 100
    assert [e.seq for e in kept] == sorted(e.seq for e in kept)
    [gap] = assert_whole([e for e in events if e.session_id == publisher.session_id])
    assert gap.fields["cause"] == "the spool was damaged"
