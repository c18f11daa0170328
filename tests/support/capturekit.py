"""The simulator as a process, and what of its messages the lake holds."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rugs_sim import Logged, read_log
from tests.support.stackkit import RUGS, clean_environment, rows


@asynccontextmanager
async def playing(log: Path, rate: float, *more: str) -> AsyncIterator[dict[str, Any]]:
    """Run `rugs sim`; give its addresses. At the end whoever listens gets all that is on its way."""
    process = await asyncio.create_subprocess_exec(
        RUGS,
        *("sim", "--seed", "7", "--port", "0", "--rate", str(rate), "--log", str(log), "--json", *more),
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())
    finally:
        process.terminate()
        await process.communicate()


class Stored(NamedTuple):
    """The frames that one session has received, in order."""

    source: str
    session_id: str
    frames: list[bytes]


def stored_sessions(root: Path) -> list[Stored]:
    """Return what the lake holds of each session, whose numbers have to rise."""
    found: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    numbers: dict[tuple[str, str], int] = {}
    query = (
        "SELECT source, session_id, seq, direction, coalesce(raw_bin, encode(raw)) FROM ws_event"
        " WHERE source <> 'manual' ORDER BY source, session_id, seq"
    )
    for source, session_id, seq, direction, raw in rows(root, query):
        assert seq > numbers.get((source, session_id), 0)
        numbers[source, session_id] = seq
        if direction == "received":
            found[source, session_id].append(bytes(raw))
    return [Stored(*place, frames) for place, frames in found.items()]


def gaps_of(root: Path) -> dict[str, list[tuple[int, int]]]:
    """Return the gaps of each source, in microseconds."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for source, extra in rows(root, "SELECT source, extra FROM system_event WHERE event = 'gap'"):
        told = json.loads(extra)
        found[source].append((told["since"], told["until"]))
    return found


class Account(NamedTuple):
    """What became of the messages that were put on the wires: stored once, in a gap, or neither, or more than once."""

    stored: int
    in_gaps: int
    lost: int
    doubled: int


def account(root: Path, log: Path) -> Account:
    """Compare the lake with the simulator's own log, source by source."""
    wires: dict[int, list[Logged]] = defaultdict(list)
    for logged in read_log(log):
        wires[logged.connection].append(logged)
    covered: dict[tuple[int, str], list[int]] = {(number, ""): [0] * len(wire) for number, wire in wires.items()}
    for session in stored_sessions(root):
        number, first = place_of(session.frames, wires)
        seen = covered.setdefault((number, session.source), [0] * len(wires[number]))
        for index in range(first, first + len(session.frames)):
            seen[index] += 1
    for number, source in [*covered]:
        if source:
            covered.pop((number, ""), None)
    gaps = gaps_of(root)
    counts = {"stored": 0, "in_gaps": 0, "lost": 0, "doubled": 0}
    for (number, source), seen in covered.items():
        told = gaps[source] if source else [gap for each in gaps.values() for gap in each]
        for logged, times in zip(wires[number], seen, strict=True):
            outcome = "stored" if times == 1 else "doubled" if times else "lost"
            if not times and any(since <= logged.at <= end for since, end in told):
                outcome = "in_gaps"
            counts[outcome] += 1
    return Account(**counts)


def place_of(frames: list[bytes], wires: dict[int, list[Logged]]) -> tuple[int, int]:
    """Return the connection that a session was, and where in it the session begins: it is one run of it."""
    longest = max(frames, key=len)
    for number, wire in wires.items():
        sent = [message if isinstance(message, bytes) else message.encode() for _, _, _, message, _ in wire]
        for index, message in enumerate(sent):
            first = index - frames.index(longest)
            if message == longest and first >= 0 and sent[first : first + len(frames)] == frames:
                return number, first
    raise AssertionError(f"no connection sent these {len(frames)} frames in this order: {frames[0][:200]!r}")
