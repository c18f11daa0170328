"""The simulator over real sockets: what a client receives is what the log says, whatever goes wrong."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio

from rugs_feed import frames
from rugs_sim import Faults, Games, Logged, Recording, Simulator, read_log
from tests.support.stackkit import RUGS, until

pytestmark = pytest.mark.slow

LIMIT = 30.0


class Listener:
    """A WebSocket client by hand: it keeps what comes, and does what a connection needs."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.received: list[str | bytes] = []
        self.ended = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for message in self.socket:
            self.received.append(message.data)
            if message.data == "2":
                await self.socket.send_str("3")
            elif message.data == "1":
                await self.socket.close()
            elif isinstance(message.data, str) and message.data.startswith("0{"):
                await self.socket.send_str("40")

    async def wait(self, condition: Callable[[list[str | bytes]], bool]) -> None:
        await until(lambda: self.ended.done() or condition(self.received))
        assert condition(self.received), "the connection has ended"


@asynccontextmanager
async def listening(simulator: Simulator) -> AsyncIterator[Listener]:
    url = f"{simulator.url}/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=0) as socket:
        listener = Listener(socket)
        yield listener
        listener.ended.cancel()


def of(log: Path, connection: int) -> list[str | bytes]:
    return [logged.message for logged in read_log(log) if logged.connection == connection]


def events(messages: list[str | bytes]) -> list[str]:
    named = (frames.decode(message).event for message in messages)
    return [name for name in named if name is not None]


async def test_what_is_received_is_what_is_logged(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    simulator = Simulator(Games(seed=1, games=1).play(), speed=300, clients=2, log=log)
    async with simulator, listening(simulator) as one, listening(simulator) as two, asyncio.timeout(LIMIT):
        await simulator.played()
        stats = simulator.stats
        for listener in (one, two):
            await listener.wait(lambda received: len(events(received)) * 2 >= stats.messages - 20)
    assert stats.clients == stats.connections == 2
    for number, listener in enumerate((one, two), 1):
        logged = of(log, number)
        assert logged[: len(listener.received)] == listener.received
        assert all(frames.decode(message).packet in ("disconnect", "close") for message in logged[len(one.received) :])
    numbers = [logged.number for logged in read_log(log) if logged.connection == 1]
    assert numbers == list(range(1, len(numbers) + 1))
    at = [logged.at for logged in read_log(log)]
    assert at == sorted(at)
    everybody = [[message for message in of(log, number) if is_cue(message)][6:] for number in (1, 2)]
    assert everybody[0] == everybody[1]


def is_cue(message: str | bytes) -> bool:
    return isinstance(message, bytes) or message.startswith(("42", "45"))


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
async def test_an_ordinary_client_is_served_over_every_transport(tmp_path: Path, transports: list[str]) -> None:
    log = tmp_path / "log.jsonl"
    received: list[tuple[str, tuple[Any, ...]]] = []
    client = socketio.AsyncClient(reconnection=False, handle_sigint=False)
    client.on("*", lambda event, *arguments: received.append((event, arguments)))
    async with Simulator(Games(seed=1).play(), speed=8, log=log) as simulator:
        await client.connect(simulator.url, transports=transports)
        await until(lambda: len(received) >= 60)
        assert await client.call("nobodyKnows", {"a": 1}) is None
        reply = await client.call("buyOrder", {"amount": 99})
        assert reply["success"] is False
        await client.eio.disconnect(abort=True)  # else one that polls would wait for half a minute
    sent = [frames.decode(message) for message in of(log, 1)]
    told = [(frame.event, frame.args) for frame in sent if frame.packet == "event"]
    assert [(event, arguments) for event, arguments in received if event != "gameClip"] == told[: len(received)]
    assert [frame.packet for frame in sent if frame.packet == "ack"] == ["ack", "ack"]
    heard = [json.loads(line).get("heard", "") for line in log.read_text().splitlines()]
    assert transports == ["polling"] or any(text.startswith("42") and '"buyOrder"' in text for text in heard)


async def test_a_client_gets_pings_and_one_that_answers_none_is_gone(tmp_path: Path) -> None:
    async with Simulator(Games(seed=1).play(), ping_interval=0.2, ping_timeout=0.5) as simulator:
        url = f"{simulator.url}/socket.io/?EIO=4&transport=websocket"
        async with listening(simulator) as good, aiohttp.ClientSession() as http, http.ws_connect(url) as bad:
            await bad.receive()
            await bad.send_str("40")
            async with asyncio.timeout(LIMIT):
                async for _ in bad:
                    pass
            await good.wait(lambda received: received.count("2") >= 3)
            await until(lambda: simulator.stats.clients == 1)


async def test_a_player_gets_its_own_states_beside_the_games(tmp_path: Path) -> None:
    async with Simulator(Games(seed=1).play(), speed=4) as simulator, listening(simulator) as listener:
        await listener.wait(lambda received: len(received) > 2)
        await listener.socket.send_str('42["authenticate",{"__trace":true}]')
        await listener.socket.send_str('427["getLeaderboard",{"period":"7d"}]')
        await listener.wait(lambda received: events(received).count("gameStatePlayerUpdate") > 20)
    names = events(listener.received)
    assert {"playerUpdate", "usernameStatus", "leaderboardData"} <= set(names)
    pairs = names[names.index("gameStatePlayerUpdate") :]
    assert pairs.count("gameStateUpdate") == pytest.approx(pairs.count("gameStatePlayerUpdate"), abs=2)
    acks = [frame for frame in map(frames.decode, listener.received) if frame.packet == "ack"]
    assert [(frame.ack_id, frame.payload["success"]) for frame in acks] == [(7, True)]


async def faulty(tmp_path: Path, faults: Faults) -> tuple[Listener, list[Logged]]:
    """Listen to one connection until the show is over."""
    log = tmp_path / "log.jsonl"
    show = Games(seed=1, games=1).play()
    simulator = Simulator(show, speed=300, clients=1, faults=faults, log=log)
    async with simulator, listening(simulator) as listener, asyncio.timeout(LIMIT):
        await simulator.played()
    return listener, [logged for logged in read_log(log) if logged.connection == 1]


async def test_junk_duplicates_and_what_is_out_of_order_arrive_as_logged(tmp_path: Path) -> None:
    faults = Faults(duplicate=20, reorder=20, junk=10)
    listener, logged = await faulty(tmp_path, faults)
    assert len(listener.received) > 300
    assert listener.received == [each.message for each in logged][: len(listener.received)]
    assert {each.fault for each in logged} == {"", "duplicate", "reordered", "junk", "torn"}


@pytest.mark.parametrize("faults", [Faults(drop=100, seed=1), Faults(drop=100, seed=4), Faults(drop_seconds=0.3)])
async def test_a_dropped_connection_ends_and_the_next_one_is_served(tmp_path: Path, faults: Faults) -> None:
    log = tmp_path / "log.jsonl"
    async with Simulator(Games(seed=1).play(), speed=50, faults=faults, log=log) as simulator:
        for number in range(1, 4):
            async with listening(simulator) as listener:
                async with asyncio.timeout(LIMIT):
                    await asyncio.wait((listener.ended,))
            logged = of(log, number)
            assert len(listener.received) > 10
            assert logged[: len(listener.received)] == listener.received
        assert simulator.stats.connections == 3
    ends = [said["closed"] for said in map(json.loads, log.read_text().splitlines()) if "closed" in said]
    assert len(ends) == 3
    assert set(ends) <= {"fault: cut", "fault: closed"}


async def test_a_stall_is_silence_and_then_everything(tmp_path: Path) -> None:
    async with (
        Simulator(
            Games(seed=1).play(), speed=20, faults=Faults(stall=60, stall_seconds=1.0), log=tmp_path / "log"
        ) as simulator,
        listening(simulator) as listener,
    ):
        await listener.wait(lambda received: len(received) > 200)
    logged = list(read_log(tmp_path / "log"))
    gaps = [after.at - before.at for before, after in pairwise(logged)]
    assert max(gaps) > 900_000
    assert [each.message for each in logged][: len(listener.received)] == listener.received


async def test_a_client_that_takes_nothing_is_let_go_and_is_in_nobodys_way(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    simulator = Simulator(Games(seed=1).play(), speed=200, clients=2, log=log, max_behind=300)
    async with simulator, listening(simulator) as good, listening(simulator) as bad:
        await bad.wait(lambda received: len(received) > 2)
        bad.ended.cancel()
        await until(lambda: simulator.stats.clients == 1)
        have = len(good.received)
        await good.wait(lambda received: len(received) > have + 100)
    ends = [said for said in map(json.loads, log.read_text().splitlines()) if "closed" in said]
    assert ends[0] == {"connection": 2, "at": ends[0]["at"], "closed": "too far behind"}


async def test_a_fixed_rate_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    simulator = Simulator(Games(seed=1).play(), rate=400, clients=1, log=log)
    async with simulator, listening(simulator) as listener:
        await listener.wait(lambda received: len(received) > 800)
    at = [logged.at for logged in read_log(log)][10:810]
    assert 799 / ((at[-1] - at[0]) / 1_000_000) == pytest.approx(400, rel=0.1)


async def test_a_recording_is_played_with_its_own_pace(tmp_path: Path) -> None:
    recording = tmp_path / "frames.txt"
    recording.write_text("".join(f'42["e",{number}]\n' for number in range(9)))
    log = tmp_path / "log.jsonl"
    simulator = Simulator(Recording(recording).play(), speed=5, clients=1, log=log)
    async with simulator, listening(simulator) as listener, asyncio.timeout(LIMIT):
        await simulator.played()
        await listener.wait(lambda received: len(events(received)) == 9)
    told = [each for each in read_log(log) if is_cue(each.message)]
    assert [each.message for each in told] == [f'42["e",{number}]' for number in range(9)]
    assert told[-1].at - told[0].at == pytest.approx(400_000, rel=0.25)
    again = [cue.messages for cue in Recording(log).play().cues()]
    assert again == [(each.message,) for each in told]


async def test_the_page_is_served_and_fetches_nothing_from_outside() -> None:
    async with Simulator(Games(seed=1).play()) as simulator, aiohttp.ClientSession() as http:
        async with http.get(simulator.page) as answer:
            page = await answer.text()
        async with http.get(f"{simulator.url}/feed.js") as answer:
            script = await answer.text()
            assert answer.content_type == "text/javascript"
    assert '<script src="/feed.js">' in page
    assert "//" not in page.replace("// ", "")
    assert "http" not in script


@asynccontextmanager
async def rugs_sim(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """`rugs sim --json` on a free port, and its first line."""
    program = [str(RUGS), "sim", "--json", "--port", "0", *arguments]
    process = await asyncio.create_subprocess_exec(*program, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT):
            yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_command_plays_to_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    arguments = ["--seed", "1", "--games", "1", "--speed", "300", "--clients", "1", "--log", str(log)]
    async with rugs_sim(*arguments) as (process, told), aiohttp.ClientSession() as http:
        assert set(told) == {"url", "page", "log"}
        async with http.ws_connect(f"{told['url']}/socket.io/?EIO=4&transport=websocket", max_msg_size=0) as socket:
            listener = Listener(socket)
            await listener.ended
        out, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert json.loads(out)["connections"] == 1
    assert of(log, 1)[: len(listener.received)] == listener.received
    expected = [message for cue in Games(seed=1, games=1).play().cues() for message in cue.messages]
    assert [message for message in of(log, 1) if is_cue(message)][6:] == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_command_in_order(number: signal.Signals) -> None:
    async with rugs_sim() as (process, told), aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{told['url']}/socket.io/?EIO=4&transport=websocket", max_msg_size=0) as socket:
            listener = Listener(socket)
            await listener.wait(lambda received: len(received) > 3)
            process.send_signal(number)
            await listener.ended
        assert await process.wait() == 0
    assert [frames.decode(message).packet for message in listener.received[-2:]] == ["disconnect", "close"]


async def test_a_taken_port_is_an_error() -> None:
    async with Simulator(Games(seed=1).play()) as simulator:
        program = [str(RUGS), "sim", "--port", str(simulator.port)]
        process = await asyncio.create_subprocess_exec(*program, stdout=PIPE, stderr=PIPE)
        _, errors = await asyncio.wait_for(process.communicate(), LIMIT)
    told = f"rugs: port {simulator.port} is taken; --port 0 takes any that is free\n"
    assert (process.returncode, errors.decode()) == (1, told)
