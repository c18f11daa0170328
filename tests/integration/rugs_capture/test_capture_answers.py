"""What a feed's connection sends: acknowledgements, and what a server needs to send again what was missed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rugs_capture import supervise
from rugs_capture.public import PublicFeed
from tests.conftest import Until
from tests.support.rawfeed import BINARY, STATE, Peer, RawFeed, Recorder, close_frame, opening, ws_frame
from tests.support.sourcekit import kept

pytestmark = pytest.mark.slow


def offset_state(number: int) -> str:
    return STATE.replace("}]", f'}},"o{number}"]').replace('"tickCount":7', f'"tickCount":{number}')


async def test_a_server_that_keeps_what_was_missed_sends_it_again(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Socket.IO's connection state recovery: servers send what was missed before they answer the connect packet."""
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.01)
    asked: list[str] = []

    async def first(peer: Peer) -> None:
        asked.append(await peer.connect(answer='40{"sid":"s-1","pid":"p-1"}'))
        await peer.say(offset_state(1), '451-["b",{"_placeholder":true,"num":0},"o2"]', b"\x00")
        await peer.say('427["asks","no offset"]', '451-["never whole",{"_placeholder":true,"num":0},"o3"]')
        await peer.hear()
        peer.abort()

    async def second(peer: Peer) -> None:
        await peer.upgrade()
        await peer.say(opening())
        asked.append(await peer.hear())
        await peer.say(offset_state(3), '40{"sid":"s-1","pid":"p-1"}', offset_state(4))
        await peer.send(close_frame(1012))

    async def third(peer: Peer) -> None:
        asked.append(await peer.connect(answer='40{"sid":"s-2","pid":"p-2"}'))
        await peer.again(ws_frame(STATE))

    recorder = Recorder(tmp_path)
    async with RawFeed.serving(first, second, third) as feed:
        address = replace(feed.address, auth={"token": "t"})
        async with kept(PublicFeed(address), recorder.tap) as source:
            await until(lambda: len(asked) == 3 and source.state == "live")
    assert asked == [
        '40{"token":"t"}',
        '40{"pid":"p-1","offset":"o2","token":"t"}',
        '40{"pid":"p-1","offset":"o4","token":"t"}',
    ]
    events = await recorder.events()
    gaps = [event.fields for event in events if event.event == "gap"]
    assert [gap.get("recovered", False) for gap in gaps] == [True, False]
    states = [event.raw for event in events if event.event == "gameStateUpdate"]
    assert states[:3] == [offset_state(1), offset_state(3), offset_state(4)], "what was missed is stored"
    sent = [event.raw for event in events if event.event == "connect" and event.direction == "sent"]
    assert sent == [packet.replace('"t"}', '"***"}') for packet in asked], "what was given as a secret is masked"


async def test_what_is_sent_is_recorded_before_what_answers_it_also_when_nobody_takes_it(
    tmp_path: Path, until: Until
) -> None:
    """A server that does not read, while we owe it more than the sockets between us hold."""
    large, count = "x" * (1 << 19), 8

    async def script(peer: Peer) -> None:
        await peer.connect()
        for number in range(count):
            await peer.say(f"2{number}{large}")
        await peer.say('4217["ask"]')
        for number in range(count + 1):
            await peer.hear()
            await peer.say(f'42["answer",{{"to":{number}}}]')
        await peer.silence()

    recorder = Recorder(tmp_path)
    async with RawFeed.serving(script) as feed, kept(PublicFeed(feed.address), recorder.tap):
        await until(lambda: recorder.tap.last_event == "answer" and recorder.tap.frames == 3 + 3 * (count + 1))
    frames = [(event.direction, event.event) for event in await recorder.events() if event.doc_type == "ws_event"]
    sent = [index for index, (direction, _) in enumerate(frames) if direction == "sent"][1:]
    answers = [index for index, (_, event) in enumerate(frames) if event == "answer"]
    assert len(sent) == len(answers) == count + 1
    assert all(ours < theirs for ours, theirs in zip(sent, answers, strict=True))


async def test_a_server_that_stops_in_the_middle_of_a_binary_event_is_not_answered(
    tmp_path: Path, until: Until
) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.say(opening())
        await peer.hear()
        await peer.say("40/prices,{}", '452-/prices,18["whole",{"_placeholder":true,"num":0}]', b"\x00", "2", b"\x01")
        await peer.say('451-/prices,19["cut",{"_placeholder":true,"num":0}]', '42/prices,20["next"]', b"\x02")
        await peer.say('42/elsewhere,21["not ours"]', '42/prices,999999999999999999["huge"]', '42/prices,22["torn')
        while len(peer.heard) < 5:
            await peer.hear()
        await peer.again(ws_frame(b"", BINARY))

    recorder = Recorder(tmp_path)
    async with RawFeed.serving(script) as feed:
        address = replace(feed.address, namespace="/prices")
        async with kept(PublicFeed(address), recorder.tap):
            await until(lambda: len(feed.peers) == 1 and len(feed.peers[0].heard) == 5)
    assert feed.peers[0].heard == [
        "40/prices,{}",
        "3",
        "43/prices,18[]",
        "43/prices,20[]",
        "43/prices,999999999999999999[]",
    ]
    await recorder.events()
