"""Tests of the client: what the stream holds of a session, and a producer that is a process of its own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Final

from nats.aio.client import Client

from rugs_bus import StreamSettings, get_message, stream_state
from rugs_client import Publisher
from rugs_proto import Envelope, decode
from rugs_proto.message import Message
from rugs_proto.subjects import MAX_BODY, TARGET_BODY, parse_event_subject

REPOSITORY: Final = Path(__file__).parents[2]
STREAMS: Final = StreamSettings(max_bytes=256 * 1024 * 1024)
FRAME: Final = '42["gameStateUpdate",{"gameId":"g-1","pad":"' + "x" * 6800 + '"}]'


def publish(publisher: Publisher, numbers: range) -> None:
    """Publish a frame for each number."""
    for number in numbers:
        assert publisher.publish("gameStateUpdate", raw=FRAME, fields={"n": number}, game_id="g-1")


async def flush(publisher: Publisher, seconds: float = 20) -> bool:
    """`Publisher.flush`, for tests that share the loop with others."""
    return await asyncio.to_thread(publisher.flush, seconds)


async def secure(publisher: Publisher) -> bool:
    """`Publisher.secure`, likewise."""
    return await asyncio.to_thread(publisher.secure, 20)


async def messages(nc: Client) -> list[Message]:
    """Everything that the stream holds, each message checked against the contract."""
    state = await stream_state(nc)
    found = [await get_message(nc, seq) for seq in range(state.first_seq, state.last_seq + 1)]
    kept = [message for message in found if message is not None]
    for message in kept:
        subject, envelopes = parse_event_subject(message.subject), decode(message.body)
        assert {(e.doc_type, e.source) for e in envelopes} == {(subject.doc_type, subject.source)}
        assert len({e.session_id for e in envelopes}) == 1
        assert len(message.body) <= (TARGET_BODY + 64 if len(envelopes) > 1 else MAX_BODY)
    return kept


async def stored(nc: Client) -> list[Envelope]:
    """Every event in the stream, once, in the order of the first time it came: what the lake makes of it."""
    once = {e.id: e for message in await messages(nc) for e in decode(message.body)}
    return list(once.values())


def assert_whole(envelopes: list[Envelope], *, up_to: int | None = None) -> list[Envelope]:
    """Check one session: in order, every number there or told of by a gap, none twice. Return its gaps."""
    assert len({(e.source, e.session_id) for e in envelopes}) == 1
    seqs = [e.seq for e in envelopes]
    assert seqs == sorted(set(seqs)), "in order, none twice"
    gaps = [e for e in envelopes if e.event == "gap"]
    missing = set(range(1, seqs[-1] + 1)) - {e.seq for e in envelopes if e.event != "gap"}
    for gap in gaps:
        assert gap.doc_type == "system_event"
        if (first := gap.fields["first_seq"]) is None:  # after a crash: nobody knows since when
            first = max((e.seq for e in envelopes if e.seq < gap.seq), default=0) + 1
        else:
            assert gap.fields["lost"] == gap.fields["last_seq"] - first + 1
        assert gap.fields["cause"]
        span = set(range(first, gap.seq + 1))
        assert span <= missing, "a gap tells of what is missing, and no two of the same"
        missing -= span
    assert not missing
    if up_to is not None:
        assert seqs[-1] == up_to
    return gaps


class Producer:
    """A process that publishes numbered events for ever, and says which number is durable."""

    def __init__(self, url: str, spool_dir: Path, *, session_id: str = "", pause: float = 0.0005) -> None:
        self.durable = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.clientkit", url, str(spool_dir), session_id, str(pause)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=[self._process.stdout])
        self._reader.start()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            if line.strip().isdigit():  # the others are the log's
                self.durable = int(line)

    def kill(self) -> int:
        """End it with SIGKILL; return the last number that it knew to be durable."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        return self.durable


def _produce(url: str, spool_dir: str, session_id: str, pause: str) -> None:
    publisher = Publisher(url, source="cdp", spool_dir=spool_dir, session_id=session_id or None)
    number = 0
    while True:
        for _ in range(20):
            number += 1
            publisher.publish("tick", raw=f'42["tick",{number}]' + " " * 500, fields={"n": number})
            time.sleep(float(pause))
        if publisher.secure(0.3):
            print(number, flush=True)


if __name__ == "__main__":
    _produce(*sys.argv[1:])
