"""What the previous system got wrong about games and ticks: each is a test for this one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from nats.aio.client import Client

from rugs_runtime.broker import Broker
from tests.support import derivekit
from tests.support.derivekit import Frame, Rig, frame, frames
from tests.support.feedkit import GAME, TS, State, a_game, entry, playing, waiting
from tests.support.stackkit import rows

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture
async def rig(nc: Client, broker: Broker, tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig.running(nc, broker, tmp_path / "lake") as rig:
        yield rig


def state(seq: int, told: State, session: str = "s-1") -> Frame:
    return frame(seq, "gameStateUpdate", told, session_id=session)


async def test_three_restarts_store_ten_games_ten_times_fewer_than_they_were_told(rig: Rig) -> None:
    """It counted duplicates by process: 3 restarts, 30 rows for 10 games."""
    history = [entry([1, 1 + number, 0.1], game=f"game-{number}") for number in range(10)]
    for life in range(3):
        states = [waiting(15_000, game="next", gameHistory=history), waiting(100, game="next", gameHistory=history)]
        place = {"session_id": f"life-{life}"}
        await derivekit.publish(
            rig.nc, [frame(seq, "gameStateUpdate", each, **place) for seq, each in enumerate(states, 1)]
        )
        await rig.settle()
        rig.derive.kill()
        rig.derive.start()
    await rig.settle()
    assert rows(rig.root, "SELECT count(*), count(DISTINCT game_id) FROM game") == [(10, 10)]


async def test_a_number_that_comes_as_an_int_is_a_price_like_any_other(rig: Rig) -> None:
    """A day file was overwritten when a number arrived as an int: 35 games reported stored, 11 kept."""
    games = [a_game([1, 2, 3, 0], game="ints"), a_game([1.0, 2.0, 3.0, 0.0], game="floats")]
    states = [each for game in games for each in game]
    histories = [entry([1, 2, 3, 0], game="ints"), entry([1.0, 2.0, 3.0, 0.0], game="floats")]
    states.append(waiting(15_000, game="next", gameHistory=histories))
    await derivekit.publish(rig.nc, [state(seq, each) for seq, each in enumerate(states, 1)])
    await rig.settle()
    prices = "SELECT game_id, list(price ORDER BY tick) FROM tick GROUP BY 1 ORDER BY 1"
    assert rows(rig.root, prices) == [("floats", [1, 2, 3, 0]), ("ints", [1, 2, 3, 0])]
    assert rows(rig.root, "SELECT count(*) FROM game") == [(2,)]
    assert rows(rig.root, "SELECT game_id, complete FROM game_completeness WHERE game_id <> 'next' ORDER BY 1") == [
        ("floats", True),
        ("ints", True),
    ]


async def test_a_tick_keeps_its_vantage_point_its_direction_and_both_of_its_times(rig: Rig) -> None:
    """It tagged CDP events as the public feed, and wrote the time of writing as the time of the event."""
    place = {"source": "cdp", "session_id": "socket-1", "ts": TS + 7, "recv_ts": TS + 1_000_009}
    told = frame(12, "gameStateUpdate", playing([1, 1.1, 1.2], 2), **place)
    await derivekit.publish(rig.nc, [told])
    await rig.settle()
    columns = "source, session_id, seq, direction, epoch_us(ts), epoch_us(recv_ts), cause"
    found = rows(rig.root, f"SELECT {columns} FROM game_tick WHERE tick = 2")
    assert found == [("cdp", "socket-1", 12, "received", TS + 7, TS + 1_000_009, derivekit.id_of(told))]


async def test_a_countdown_is_no_tick_and_says_no_price(rig: Rig) -> None:
    """Cooldowns were written as ticks with a made-up price of 1.0."""
    told = [state(seq, waiting(15_000 - 100 * seq)) for seq in range(1, 20)]
    await derivekit.publish(rig.nc, [*told, state(20, playing([1, 1.5], 1))])
    await rig.settle()
    assert rows(rig.root, "SELECT tick, price, is_filler FROM game_tick ORDER BY tick") == [
        (0, 1, None),
        (1, 1.5, None),
    ]


async def test_the_reference_game_lies_there_once_whoever_recorded_it(rig: Rig) -> None:
    """Its reference game lay there three times over: as recorded twice live, and as imported later."""
    whole = [each for each in frames(450) if json.loads(each["raw"][2:])[0] == "gameStateUpdate"]
    for source in ("public_ws", "cdp", "import"):
        await derivekit.publish(rig.nc, [{**each, "source": source, "session_id": source} for each in whole], batch=50)
    await rig.settle()
    ((game_id, last),) = rows(
        rig.root, "SELECT game_id, last_tick FROM game_completeness WHERE complete ORDER BY direct DESC LIMIT 1"
    )
    assert game_id != GAME
    once = f"SELECT count(*), count(DISTINCT tick), min(tick), max(tick) FROM tick WHERE game_id = '{game_id}'"
    assert rows(rig.root, once) == [(last + 1, last + 1, 0, last)]
    stored = f"SELECT count(DISTINCT source) FROM game_tick WHERE game_id = '{game_id}'"
    assert rows(rig.root, stored) == [(3,)]
    assert rows(rig.root, f"SELECT count(*) FROM game WHERE game_id = '{game_id}'") == [(1,)]
