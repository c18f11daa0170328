"""`rugs sim`: a feed to try things with, on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rugs_cli.output import AsJson, CommandError, counted, human_bytes, print_json

if TYPE_CHECKING:
    from rugs_sim import Faults, Simulator
    from rugs_sim.show import Show

DEFAULT_PORT: Final = 9817
_STATUS_SECONDS: Final = 0.5
_EVERY: Final = re.compile(r"(?P<events>\d+)|(?P<seconds>\d+(\.\d+)?)s")

Seed = Annotated[int | None, typer.Option(help="The same seed plays the same games; without it, new ones from now on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes any that is free.")]
Speed = Annotated[float, typer.Option(min=0.01, help="How many times faster than the real feed.")]
Rate = Annotated[float | None, typer.Option(min=0.1, help="Events a second, whatever the games' own pace.")]
GameCount = Annotated[int | None, typer.Option("--games", min=1, help="End after so many games.")]
Play = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Play this recording instead of games.")]
Clients = Annotated[int, typer.Option(min=0, help="Begin when so many clients are connected.")]
Log = Annotated[Path | None, typer.Option(help="Write every message on every connection to this file, as JSON lines.")]
Prices = Annotated[bool, typer.Option("--history-prices/--no-history-prices", help="Whether histories tell prices.")]
Drop = Annotated[str, typer.Option(help="Break the connection every so many events (500) or after a time (30s).")]
Duplicate = Annotated[int, typer.Option(min=0, help="Send one of so many events twice.")]
Reorder = Annotated[int, typer.Option(min=0, help="Send one of so many events after the next one.")]
Junk = Annotated[int, typer.Option(min=0, help="Send what no client expects once in so many events.")]
Stall = Annotated[int, typer.Option(min=0, help="Fall silent once in so many events.")]
StallSeconds = Annotated[float, typer.Option(min=0, help="For how long.")]
FaultSeed = Annotated[int, typer.Option(help="The same one does the same harm to the same connection.")]


def sim(
    seed: Seed = None,
    port: Port = DEFAULT_PORT,
    speed: Speed = 1.0,
    rate: Rate = None,
    games: GameCount = None,
    play: Play = None,
    clients: Clients = 0,
    log: Log = None,
    history_prices: Prices = True,
    drop: Drop = "0",
    duplicate: Duplicate = 0,
    reorder: Reorder = 0,
    junk: Junk = 0,
    stall: Stall = 0,
    stall_seconds: StallSeconds = 5.0,
    fault_seed: FaultSeed = 1,
    as_json: AsJson = False,
) -> None:
    """Play made-up games, or a recording, on a Socket.IO server of this machine's own, with a page that listens.

    Ctrl-C ends it. Faults are counted for each connection, and fall on about one of so many events; 0 is never.
    """
    from rugs_sim import Faults

    events, seconds = _every(drop)
    faults = Faults(
        seed=fault_seed,
        drop=events,
        drop_seconds=seconds,
        duplicate=duplicate,
        reorder=reorder,
        junk=junk,
        stall=stall,
        stall_seconds=stall_seconds,
    )
    show = _show(seed, games, history_prices, play)
    asyncio.run(_run(show, port, speed, rate, clients, faults, log, as_json))


def _show(seed: int | None, games: int | None, history_prices: bool, play: Path | None) -> Show:
    from rugs_sim import START, Games, Recording

    if play is not None:
        if seed is not None or games is not None or not history_prices:
            raise CommandError("a recording is played as it is: leave out --seed, --games and --no-history-prices")
        return Recording(play).play()
    start = START
    if seed is None:
        seed, start = random.SystemRandom().randrange(1_000_000), time.time_ns() // 1_000_000_000 * 1_000_000
    return Games(seed, start, games, history_prices).play()


async def _run(
    show: Show,
    port: int,
    speed: float,
    rate: float | None,
    clients: int,
    faults: Faults,
    log: Path | None,
    as_json: bool,
) -> None:
    from rugs_runtime.stopping import stop_on_signals
    from rugs_sim import Simulator

    stop = stop_on_signals()
    simulator = Simulator(show, port=port, speed=speed, rate=rate, clients=clients, faults=faults, log=log)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(simulator)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CommandError(f"port {port} is taken; --port 0 takes any that is free") from error
            raise
        if as_json:
            print_json({"url": simulator.url, "page": simulator.page, "log": None if log is None else str(log)})
        else:
            print(f"playing at {simulator.url}: `rugs capture --url {simulator.url}`, or look at {simulator.page}")
            sys.stdout.flush()
        async with _status_line(simulator):
            await _first(simulator, stop)
    stats = simulator.stats
    if as_json:
        print_json(stats._asdict())
    else:
        messages, connections = counted(stats.messages, "message"), counted(stats.connections, "connection")
        print(f"{messages}, {human_bytes(stats.bytes)}, {connections}")


async def _first(simulator: Simulator, stop: asyncio.Event) -> None:
    """Wait until the show is over or somebody stops it."""
    playing, stopping = asyncio.create_task(simulator.played()), asyncio.create_task(stop.wait())
    done, pending = await asyncio.wait((playing, stopping), return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


@contextlib.asynccontextmanager
async def _status_line(simulator: Simulator) -> AsyncIterator[None]:
    """Keep a line on the terminal up to date while the body runs."""
    from rugs_cli.live_line import LiveLine

    with LiveLine() as line:

        async def refresh() -> None:
            before = simulator.stats
            while True:
                await asyncio.sleep(_STATUS_SECONDS)
                stats = simulator.stats
                rate = (stats.messages - before.messages) / _STATUS_SECONDS
                line.show(_status(simulator, rate))
                before = stats

        refreshing = asyncio.create_task(refresh())
        try:
            yield
        finally:
            refreshing.cancel()


def _status(simulator: Simulator, rate: float) -> str:
    stats, now = simulator.stats, simulator.now()
    price = "" if now.price is None else f" at {now.price:.4f}"
    game = f"{now.game_id} tick {now.tick}{price}" if now.game_id else "nothing yet"
    clients, connections = counted(stats.clients, "client"), counted(stats.connections, "connection")
    return f"{rate:,.0f} messages/s  {game}  {clients}  {connections} so far"


def _every(text: str) -> tuple[int, float]:
    found = _EVERY.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is neither a number of events (500) nor a time (30s)", param_hint="--drop")
    return int(found["events"] or 0), float(found["seconds"] or 0)
