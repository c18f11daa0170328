"""However a command is ended, and whenever: nothing it started is left behind, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from _pytest.mark import ParameterSet
from aiohttp import web
from nats.aio.client import Client

from rugs_client.events import Entry
from rugs_client.spool import Spool
from rugs_runtime.service import ask_status
from rugs_runtime.stack import running_stack
from tests.support.feedserver import Feed
from tests.support.legacy_lines import GAME, start, tick
from tests.support.stackkit import LIMIT, RUGS, Rugs, until, wait
from tests.support.terminalkit import CTRL_BACKSLASH, CTRL_C, Terminal, processes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FRAMES = 40
SELDOM = {"RUGS_FLUSH_SECONDS": "600"}
"""The writer commits when it is told to stop."""
STATE = '42["gameStateUpdate",{"gameId":"20990101-00000000000000aa","active":true,"price":1.5,"tickCount":%d}]'


async def playing(feed: Feed, socket: web.WebSocketResponse) -> None:
    for number in range(FRAMES):
        await feed.send(socket, STATE % number)


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    async with Feed.serving(playing) as feed:
        yield feed


@pytest.fixture
def rugs(tmp_path: Path) -> Iterator[Rugs]:
    command = Rugs(tmp_path / "data", RUGS_STOP_TIMEOUT="20")
    yield command
    command("down")
    assert processes_of(command.root) == []


def program_of(root: Path, module: str) -> psutil.Process | None:
    """Return the process that runs a module on a data folder."""
    return next((each for each in processes_of(root) if module in " ".join(each.cmdline())), None)


def hang_up(terminal: Terminal) -> None:
    terminal.close()


def hang_up_itself(terminal: Terminal) -> None:
    os.kill(terminal.process.pid, signal.SIGHUP)


def interrupt(terminal: Terminal) -> None:
    terminal.press(CTRL_C)


def interrupt_again_and_again(terminal: Terminal) -> None:
    for _ in range(3):
        terminal.press(CTRL_C)
        with pytest.raises(subprocess.TimeoutExpired):
            terminal.process.wait(0.15)


def quit_(terminal: Terminal) -> None:
    terminal.press(CTRL_BACKSLASH)


def terminate(terminal: Terminal) -> None:
    terminal.process.terminate()


def kill(terminal: Terminal) -> None:
    terminal.process.kill()


Ending = Callable[[Terminal], None]


def rare(*endings: Ending) -> Iterator[ParameterSet]:
    """Endings that `make test-crash` alone tries."""
    return (pytest.param(ending, marks=pytest.mark.matrix) for ending in endings)


@pytest.mark.parametrize("ending", [hang_up, kill, *rare(interrupt, interrupt_again_and_again, terminate, quit_)])
async def test_a_capture_is_ended(rugs: Rugs, feed: Feed, ending: Ending) -> None:
    """In order it has stored every frame; at once it has them all the same, for the next start."""
    terminal = Terminal([RUGS, "capture", "--url", feed.url], rugs.environment)
    await until(lambda: feed.connections and len(feed.connections[0]) == FRAMES + 3)
    async with rugs.bus() as nc:
        await until(lambda: all_sent(nc))
    await asyncio.to_thread(ending, terminal)
    code = await asyncio.to_thread(terminal.end)
    terminal.close()
    await until(lambda: not processes_of(rugs.root))
    if ending in (terminate, interrupt):
        assert code == 0
    if ending in (kill, quit_, interrupt_again_and_again):
        assert (await asyncio.to_thread(rugs, "up", "--detach", RUGS_SOURCES="bus")).returncode == 0
        assert (await asyncio.to_thread(rugs, "down")).returncode == 0
    sent = [str(message) for _, message in feed.connections[0]]
    raws = [row["raw"] for row in await asyncio.to_thread(rugs.select, "SELECT raw FROM ws_event ORDER BY seq")]
    assert raws[: FRAMES + 3] == sent[: FRAMES + 3]
    if ending is not kill:
        assert raws == sent, "with the goodbye"
    assert (await asyncio.to_thread(rugs.json, "verify"))["ok"]


async def all_sent(nc: Client) -> bool:
    """Whether the broker has all frames."""
    answer = await ask_status(nc, "capture")
    return answer is not None and answer["sources"][0]["bus"]["sent"] >= FRAMES + 3


@pytest.mark.parametrize("ending", [interrupt, *rare(hang_up, kill)])
def test_a_capture_is_ended_while_it_starts(rugs: Rugs, ending: Ending) -> None:
    terminal = Terminal([RUGS, "capture", "--url", "http://127.0.0.1:1"], rugs.environment)
    wait(lambda: program_of(rugs.root, "nats-server"))
    ending(terminal)
    terminal.end()
    terminal.close()
    wait(lambda: not processes_of(rugs.root))


@pytest.mark.parametrize("ending", [hang_up, interrupt_again_and_again, *rare(hang_up_itself, terminate, quit_, kill)])
def test_a_stack_in_front_is_ended(rugs: Rugs, ending: Ending) -> None:
    terminal = Terminal([RUGS, "up"], rugs.environment)
    terminal.until_shown("HTTP ingest at http://127.0.0.1:")
    ending(terminal)
    code = terminal.end()
    terminal.close()
    wait(lambda: not processes_of(rugs.root))
    assert code == (-signal.SIGKILL if ending is kill else 0)


@pytest.mark.parametrize("ending", [hang_up, *rare(interrupt, interrupt_again_and_again, terminate, kill)])
def test_an_import_without_a_stack_is_ended(rugs: Rugs, tmp_path: Path, ending: Ending) -> None:
    """While it waits for a commit; what was sent is stored by the end, or by the next import."""
    recording = recorded(tmp_path)
    terminal = Terminal([RUGS, "import", recording, "--wait"], {**rugs.environment, **SELDOM})
    wait(lambda: is_connected(program_of(rugs.root, "legacy_importer.main")))
    ending(terminal)
    code = terminal.end()
    wait(lambda: not processes_of(rugs.root))
    assert code not in (0, None)
    if ending in (interrupt, interrupt_again_and_again, terminate):
        assert b"the same import again does the rest" in terminal.shown
    terminal.close()
    again = rugs.json("import", recording)
    assert again["stored"] + again["duplicates"] == again["records"] == 51
    assert rugs.select("SELECT count(*) AS n FROM events WHERE cause IS NULL AND event <> 'import'") == [{"n": 51}]


def is_connected(process: psutil.Process | None) -> bool:
    """Whether a program is there and talks to the broker; it takes signals as it should by then."""
    with suppress(psutil.Error):
        return process is not None and any(connection.raddr for connection in process.net_connections())
    return False


def recorded(folder: Path) -> Path:
    path = folder / f"game_20981231_220000_{GAME[-8:]}.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in [start(), *(tick(n) for n in range(50))]))
    return path


def test_a_simulator_ends_with_its_terminal(tmp_path: Path) -> None:
    rugs = Rugs(tmp_path)
    terminal = Terminal([RUGS, "sim", "--port", "0"], rugs.environment)
    terminal.until_shown("playing at")
    terminal.close()
    terminal.end()
    assert processes_of(rugs.root) == []


def test_a_detached_stack_outlives_its_terminal_and_its_end_ends_who_waits_for_it(rugs: Rugs, tmp_path: Path) -> None:
    terminal = Terminal([RUGS, "up", "--detach"], rugs.environment)
    assert terminal.end() == 0
    terminal.until_shown("running at nats://127.0.0.1:")
    terminal.close()
    writer = program_of(rugs.root, "parquet_writer.main")
    assert writer is not None
    writer.suspend()  # what the import waits for does not come
    recording = recorded(tmp_path)
    waiting = subprocess.Popen(
        [RUGS, "import", recording, "--wait"], env=rugs.environment, stderr=subprocess.PIPE, text=True
    )
    wait(lambda: is_connected(program_of(rugs.root, "legacy_importer.main")))
    broker = program_of(rugs.root, "nats-server")
    assert broker is not None
    broker.kill()  # that alone is waited for
    wait(lambda: (again := program_of(rugs.root, "nats-server")) and again.pid != broker.pid)
    assert waiting.poll() is None
    assert rugs("down").returncode == 0
    _, said = waiting.communicate(timeout=LIMIT)
    assert waiting.returncode == 1
    assert "the stack was stopped; what was sent is kept, and the same import again does the rest" in said
    assert rugs.json("import", recording)["records"] == 51


def test_what_waits_in_spools_is_told(rugs: Rugs) -> None:
    folder = rugs.root / "state" / "spool" / "public"
    spool = Spool(folder / "0", max_bytes=1 << 20)
    spool.append([Entry("public_ws", "s", seq, "ws_event", "x", f"{seq:032x}", 1, b"body") for seq in range(1, 1_235)])
    in_use = rugs("status").stdout.decode()
    assert f"events may wait in {folder}: a program that is running uses it" in in_use
    spool.close()
    (found,) = rugs.json("down")["spools"]
    assert (found["path"], found["events"], found["in_use"]) == (str(folder / "0"), 1_234, False)
    line = f"1,234 events wait in {folder}: they reach the lake when the stack next runs (`rugs up`)"
    assert line in rugs("down").stdout.decode()
    assert line in rugs("status").stdout.decode()
    assert running_stack(rugs.root) is None
