"""What goes wrong with a browser: a tab that crashes, one that is killed or hangs, one that is not there."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from rugs_capture import supervise
from rugs_capture.cdp import CdpSource
from rugs_capture.cdp.protocol import Connection, connect
from rugs_capture.cdp.source import _auto_attach
from rugs_capture.cdp.targets import OF_BROWSER
from rugs_capture.source import SourceError
from rugs_capture.tap import Tap
from rugs_client import Publisher
from tests.conftest import Until
from tests.support.cdpkit import STATE, Chrome, Site, captured, capturing, needs_chromium

pytestmark = [pytest.mark.slow, needs_chromium]


async def test_a_tab_that_crashes_ends_its_sessions_and_is_followed_again(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    async with capturing(publisher, chrome, site, until) as tap:
        tab = await chrome.tab(site.url("page"))
        await (await site.wire("page")).do("worker", site.url("worker", "worker/a.js"))
        await site.wire("worker")
        await until(lambda: tap.frames == site.messages)
        await chrome.command(tab, "Page.crash")
        await until(lambda: not tap.sessions)
        await chrome.command(tab, "Page.reload")
        await site.wire("page", 2)
        await until(lambda: tap.frames == site.messages)
    page, worker, again = await captured(stream, publisher)
    assert page.ending == "the page has crashed"
    assert worker.ending == "the worker has ended"
    assert "gap" in again.notes
    again.is_just(site.wires["page"][1])


async def test_a_socket_that_is_refused_is_no_session_and_one_that_breaks_says_why(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    async with capturing(publisher, chrome, site, until) as tap:
        site.refuse = True
        tab = await chrome.tab(site.url("page"))
        await until(lambda: site.refused > 0)
        site.refuse = False
        await chrome.command(tab, "Page.reload")
        page = await site.wire("page")
        await page.send(STATE)
        await until(lambda: tap.frames == site.messages)
        page.send_nonsense()
        await until(lambda: not tap.sessions)
    [session] = await captured(stream, publisher)
    session.is_just(page)
    assert session.notes == ["source_connected", "socket_error", "source_disconnected"]


async def test_a_browser_that_is_killed_and_started_again_is_a_gap(
    tmp_path: Path, stream: Client, publisher: Publisher, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.2)
    first = Chrome(tmp_path / "chrome")
    async with Site.serving() as site, capturing(publisher, first, site, until) as tap:
        await first.tab(site.url("page"))
        await (await site.wire("page")).send(STATE)
        await until(lambda: tap.frames == site.messages)
        first.kill()
        await until(lambda: not tap.sessions)
        second = Chrome(tmp_path / "chrome", first.port)
        try:
            await until(lambda: tap.serving)
            await second.tab(site.url("page"))
            await site.wire("page", 2)
            await until(lambda: tap.frames == site.messages)
        finally:
            second.kill()
    before, after = await captured(stream, publisher)
    before.is_just(site.wires["page"][0])
    after.is_just(site.wires["page"][1])
    assert before.ending.startswith("Chrome has gone away")
    gap = after.events[1]
    assert gap.event == "gap"
    assert gap.fields["cause"] == before.ending
    last = max(event.recv_ts or 0 for event in before.events if event.doc_type == "ws_event")
    assert gap.fields["since"] <= last <= gap.fields["until"]


async def test_a_browser_that_hangs_is_given_up(tmp_path: Path, publisher: Publisher, site: Site, until: Until) -> None:
    chrome = Chrome(tmp_path / "chrome")
    try:
        tap = Tap(publisher, "cdp")
        life = asyncio.create_task(CdpSource(port=chrome.port, heartbeat=0.4).run(tap))
        await until(lambda: tap.serving)
        chrome.signal(signal.SIGSTOP)
        with pytest.raises(SourceError, match="gone away"):
            await asyncio.wait_for(life, 10)
    finally:
        chrome.kill()


async def test_where_no_chrome_listens_one_line_says_what_to_do(publisher: Publisher, site: Site) -> None:
    tap = Tap(publisher, "cdp")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SourceError) as refused:
        await CdpSource(port=port).run(tap)
    assert str(refused.value) == (
        f"no Chrome listens at 127.0.0.1:{port}: start it with --remote-debugging-port={port} --user-data-dir=FOLDER"
    )
    with pytest.raises(SourceError, match="is not Chrome's remote debugging"):
        await CdpSource(port=site.port).run(tap)
    with pytest.raises(SourceError, match="no Chrome listens"):
        await CdpSource("no-such-host.invalid").run(tap)


async def test_a_name_is_looked_up_because_chrome_answers_to_addresses_only(
    chrome: Chrome, site: Site, publisher: Publisher, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    look_up = loop.getaddrinfo

    async def as_in_a_hosts_file(host: str, *args: Any, **options: Any) -> Any:
        return await look_up("127.0.0.1" if host == "browser" else host, *args, **options)

    monkeypatch.setattr(loop, "getaddrinfo", as_in_a_hosts_file)
    tap = Tap(publisher, "cdp")
    life = asyncio.create_task(CdpSource("browser", chrome.port).run(tap))
    await until(lambda: tap.serving)
    life.cancel()


async def test_a_new_tab_does_not_wait_for_a_capture_that_has_died(chrome: Chrome, site: Site) -> None:
    async with connect("127.0.0.1", chrome.port) as connection:
        await connection.call("Target.setAutoAttach", _auto_attach(OF_BROWSER))
        await chrome.tab(site.url("waits"))
        await _waiting(connection)
        assert "waits" not in site.wires
    await site.wire("waits")


@pytest.mark.parametrize("kind", ["popup", "shared", "service"])
async def test_what_waits_for_a_capture_that_has_died_goes_on_with_the_next(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until, kind: str
) -> None:
    await chrome.tab(site.url("opener"))
    async with connect("127.0.0.1", chrome.port) as connection:
        await connection.call("Target.setAutoAttach", _auto_attach(OF_BROWSER))
        await (await site.wire("opener")).do(kind, site.url("waits", "worker/a.js" if kind != "popup" else "page"))
        await _waiting(connection)
        assert "waits" not in site.wires
    async with capturing(publisher, chrome, site, until) as tap:
        waits = await site.wire("waits")
        await until(lambda: tap.frames == 2)
    [session] = await captured(stream, publisher)
    session.is_just(waits)


async def _waiting(connection: Connection) -> None:
    async for event in connection.events():
        if b'"waitingForDebugger":true' in event.params:
            return
