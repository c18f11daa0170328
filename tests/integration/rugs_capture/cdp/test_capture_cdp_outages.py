"""Outages of single connections of a browser: each message is stored, or was sent in an outage of its own socket."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from nats.aio.client import Client

from rugs_capture.cdp import CdpSource
from rugs_capture.cdp.polling import CAUSE
from rugs_capture.supervise import Supervised
from rugs_capture.tap import Tap
from rugs_client import Publisher
from rugs_proto import Envelope
from tests.conftest import Until
from tests.support.cdpkit import STATE, Chrome, Site, Wire, captured, needs_chromium
from tests.support.clientkit import stored
from tests.support.sourcekit import kept

pytestmark = [pytest.mark.slow, needs_chromium]


@asynccontextmanager
async def playing(site: Site) -> AsyncIterator[None]:
    """Send numbered messages to every open socket, 200 a second, while the body runs."""

    async def play() -> None:
        for number in itertools.count():
            for name, wires in site.wires.items():
                for place, wire in enumerate(wires):
                    if not wire.closed:
                        with suppress(ConnectionError):  # it closes just now
                            await wire.send(f'42["{name}-{place}",{number}]')
            await asyncio.sleep(0.005)

    task = asyncio.create_task(play())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def missing(events: list[Envelope], wire: Wire) -> tuple[int, int]:
    """Return how many messages of a socket are not stored, and how many of these no outage of that socket covers."""
    # The first two are the same for every socket.
    known = {event.raw: event.session_id for event in events if event.raw in wire.received[2:]}
    outages = [
        (event.fields["since"], event.fields["until"])
        for event in events
        if event.event == "gap" and event.fields.get("after_session", event.session_id) in known.values()
    ]
    times = [at for at, message in zip(wire.times, wire.received, strict=True) if message not in known][2:]
    return len(times), sum(not any(since <= at <= until for since, until in outages) for at in times)


async def test_two_tabs_each_message_is_stored_or_in_an_outage_of_its_own_socket(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    """One tab is loaded again, crashes, goes elsewhere and is closed, and the debugger loses both; one stays."""
    tap = Tap(publisher, "cdp")
    source = CdpSource(port=chrome.port, pages=f"http://*:{site.port}/*", sockets="*/socket.io/*")

    async def seen(name: str, number: int) -> None:
        await site.wire(name, number)
        before = tap.frames
        await until(lambda: tap.frames > before + 40)

    async with playing(site):
        life = asyncio.create_task(source.run(tap))
        await until(lambda: tap.serving)
        moving, staying = await chrome.tab(site.url("moving")), await chrome.tab(site.url("staying"))
        await seen("moving", 1)
        await seen("staying", 1)
        for number in (2, 3):
            await chrome.command(moving, "Page.reload")
            await seen("moving", number)
        await chrome.command(moving, "Page.crash")
        await until(lambda: len(tap.sessions) == 1)
        await seen("staying", 1)
        await chrome.command(moving, "Page.reload")
        await seen("moving", 4)
        # The connection to the browser is lost, and both pages go on.
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        tap.end_all("the connection to Chrome was lost")
        assert not tap.live
        life = asyncio.create_task(source.run(tap))
        await until(lambda: len(tap.sessions) == 2)
        await site.wires["moving"][-1].do("go", site.url("elsewhere", "another"))
        await seen("elsewhere", 1)
        await chrome.close(moving)
        await until(lambda: len(tap.sessions) == 1)
        await seen("staying", 1)
        await chrome.close(staying)
        await until(lambda: not tap.sessions)
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
    tap.end_all("stopped")
    tap.close()
    await captured(stream, publisher)
    events = await stored(stream)
    found = [missing(events, wire) for wire in itertools.chain(*site.wires.values())]
    not_stored, lost = map(sum, zip(*found, strict=True))
    assert lost == 0
    assert not_stored > 0
    # While the other tab was there, each end of a socket of the one has an outage of its own, up to its successor.
    followed = [event.fields for event in events if event.event == "gap" and "after_session" in event.fields]
    causes = [str(told["cause"]) for told in followed if str(told["url"] or "moving").endswith("moving")]
    assert causes.count("the page was left") >= 2
    assert "the page has crashed" in causes


async def test_http_polling_is_an_outage_until_the_websocket_takes_over(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    tap = Tap(publisher, "cdp")
    source = CdpSource(port=chrome.port, pages=f"http://*:{site.port}/*", sockets="*/socket.io/*")
    async with kept(source, tap) as supervised:
        await until(lambda: tap.serving)
        await until(lambda: tap.live)
        only = await chrome.tab(site.url("poll-only"))
        site.polled["poll-only"].send('40{"sid":"x"}', STATE)
        await until(lambda: len(site.polled["poll-only"].times) == 3)
        await until(lambda: not tap.live)
        warns(supervised, "1 connection uses HTTP polling")
        await chrome.tab(site.url("poll-first"))
        site.polled["poll-first"].send('40{"sid":"x"}', STATE, '42["do-upgrade"]')
        wire = await site.wire("poll-first")
        await until(lambda: wire.sent == ["2probe", "5"])
        await wire.send(STATE)
        await until(lambda: tap.live and tap.last_event == "gameStateUpdate")
        warns(supervised, "1 connection uses HTTP polling")
        await chrome.close(only)
        await until(lambda: tap.warn() is None and supervised.status()["warning"] is None)
    tap.close()
    [session] = await captured(stream, publisher)
    assert session.messages("received") == ["3probe", STATE]
    assert session.messages("sent") == ["2probe", "5"]
    assert session.notes == ["source_connecting", "source_connected", "gap", "source_disconnected"]
    gaps = {str(e.fields["url"]).rpartition("/")[2]: e.fields for e in await stored(stream) if e.event == "gap"}
    assert {told["cause"] for told in gaps.values()} == {CAUSE}
    for name, polled in site.polled.items():
        assert gaps[name]["since"] <= polled.times[0]
        assert polled.times[-1] <= gaps[name]["until"]
        assert str(gaps[name]["page"]).endswith("/page")


def warns(supervised: Supervised, text: str) -> None:
    assert text in supervised.status()["warning"]
