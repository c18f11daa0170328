"""What users send in, as they send it, into the running stack: stored, derived from, or kept as a reject."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from nats.aio.client import Client

from tests.support.stackkit import Rugs, caught_up, rows, until

pytestmark = pytest.mark.slow

STATE = {"gameId": "20260101-0123456789abcdef", "active": True, "rugged": False, "price": 1.5, "cooldownTimer": 0}
OLD = (
    '{"seq": 7, "ts": "2025-12-15T01:02:03.000004+00:00", "event": "newChatMessage", "data": {"message": "hi"},'
    ' "source": "cdp_intercept", "direction": "received"}'
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rugs]:
    rugs = Rugs(tmp_path_factory.mktemp("ingest") / "data", RUGS_INGEST_PORT=str(free_port()))
    up = rugs("up", "--detach")
    assert up.returncode == 0, up.stderr
    yield rugs
    assert rugs("down").returncode == 0


async def doors_open(stack: Rugs) -> None:
    def both() -> bool:
        done = stack("sources", "--json")
        found = json.loads(done.stdout) if done.returncode == 0 else {}
        states = {each["name"]: each["state"] for each in (found if isinstance(found, list) else found["sources"])}
        return states.get("http") == states.get("bus") == "live"

    await until(both)


def post(stack: Rugs, body: bytes, **headers: str) -> dict[str, Any]:
    """Post as `curl -d` does."""
    url = f"http://127.0.0.1:{stack.environment['RUGS_INGEST_PORT']}/ingest"
    request = urllib.request.Request(url, body, {name.replace("_", "-"): told for name, told in headers.items()})
    with urllib.request.urlopen(request, timeout=20) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


async def ask(nc: Client, body: bytes, **headers: str) -> dict[str, Any]:
    """Ask as `nats req rugs.ingest.ws` does."""
    told = {name.replace("_", "-"): value for name, value in headers.items()} or None
    reply = await nc.request("rugs.ingest.ws", body, timeout=20, headers=told)
    answer: dict[str, Any] = json.loads(reply.data)
    return answer


async def test_what_is_sent_in_is_in_the_lake(stack: Rugs) -> None:
    await doors_open(stack)
    by_http = json.dumps({"event": "gameStateUpdate", "data": STATE | {"tickCount": 1}}).encode()
    packed = msgpack.packb({"event": "gameStateUpdate", "data": STATE | {"tickCount": 2, "price": 1.75}})
    frame = b'42["gameStateUpdate",' + json.dumps(STATE | {"tickCount": 3, "price": 2.5}).encode() + b"]"
    async with stack.bus() as nc:
        answers = [post(stack, by_http, Rugs_Session="mine"), await ask(nc, packed), await ask(nc, frame)]
        answers += [await ask(nc, OLD.encode(), Rugs_Session="old") for _ in range(2)]
        junk = await ask(nc, b"junk")
        await nc.publish("rugs.ingest.ws", b'{"event":')
        assert [a["accepted"] for a in answers] == [1, 1, 1, 1, 1]
        assert (junk["accepted"], junk["rejected"]) == (0, 1)

        def all_there() -> bool:
            ticks = rows(stack.root, "select tick, price from game_tick order by tick")
            [(rejects,)] = rows(stack.root, "select count(*) from reject")
            return ticks == [(1, 1.5), (2, 1.75), (3, 2.5)] and rejects == 2

        await caught_up(nc, stack.root)
        await until(all_there)
    events = rows(stack.root, "select id, session_id, raw, raw_bin from ws_event")
    assert {row[0] for row in events} == {event_id for a in answers for event_id in a["ids"]}
    assert len(events) == 4, "the old line came twice, and is there once"
    assert [raw for _, session, raw, _ in events if session == "mine"] == [by_http.decode()]
    assert [bytes(raw) for *_, raw in events if raw is not None] == [packed]
    rejects = stack.json("rejects", "list")
    assert sorted(reject["bytes"] for reject in rejects) == [4, 9]
    assert all(reject["reason"] for reject in rejects)


def examples() -> list[str]:
    """Return the commands of the document's first block, a line each."""
    document = (Path(__file__).parents[2] / "docs" / "ingest.md").read_text()
    (block, *_) = re.findall(r"```sh\n(.*?)```", document, re.DOTALL)
    return str(block).replace("\\\n", " ").strip().splitlines()


async def test_the_examples_of_the_document_store_what_they_say(stack: Rugs) -> None:
    """Each command is read as the shell would and sent as its program does: neither may be installed here."""
    await doors_open(stack)
    async with stack.bus() as nc:
        for example in examples():
            words = shlex.split(example, comments=True)
            headers = dict(re.split(r": *", words[at + 1], maxsplit=1) for at, word in enumerate(words) if word == "-H")
            if words[0] in ("curl", "gzip"):
                body = words[words.index("-d") + 1].encode() if "-d" in words else gzip.compress(OLD.encode() + b"\n")
                answer = post(stack, body, **headers)
            elif "<" in words:
                answer = await ask(nc, OLD.encode(), **headers)
            else:
                answer = await ask(nc, words[-1].encode())
            assert (answer["accepted"], answer["rejected"]) == (1, 0), example
        await caught_up(nc, stack.root)
    assert len(examples()) >= 6
    trade = "SELECT doc_type, event, action, amount FROM player_action WHERE event = 'trade.buy'"
    assert stack.select(trade) == [{"doc_type": "player_action", "event": "trade.buy", "action": "buy", "amount": 0.01}]
    game = "SELECT game_id, price FROM ws_event WHERE event = 'standard/newTrade'"
    assert stack.select(game) == [{"game_id": "g", "price": 1.5}]
    assert stack.select("SELECT count(*) AS n FROM events WHERE event = 'note'") == [{"n": 2}]
    assert stack.select("SELECT count(*) AS n FROM ws_event WHERE session_id = 'old_cdp'") == [{"n": 1}]
