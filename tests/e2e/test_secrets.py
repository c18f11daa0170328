"""Secrets from end to end: a broker and a feed that want them, and every place where they could be seen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.rugs_bus.test_bus_address import AUTHORIZATION, JETSTREAM, PASSWORD, USER, serving
from tests.support.seenserver import SeenServer
from tests.support.stackkit import Rugs, rows

pytestmark = pytest.mark.slow

SECRETS = ("hunter2", "p@ss", "p%40ss", "rd#1", "rd%231")


def command_lines() -> Iterator[str]:
    """What `ps` shows of every process."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue


async def test_no_secret_is_seen_of_a_stack_and_of_a_capture(tmp_path: Path) -> None:
    root = tmp_path / "data"
    (tmp_path / "auth.json").write_text('{"token": "hunter2"}')
    with serving(tmp_path / "nats", JETSTREAM + AUTHORIZATION) as server:
        async with SeenServer.serving() as feed:
            url = f"http://u:hunter2@127.0.0.1:{feed.port}/prices?token=hunter2"
            rugs = Rugs(
                root,
                NATS_URL=f"nats://{USER}:{PASSWORD}@{server['nats'][0]}",
                RUGS_FEED_URL=url,
                RUGS_FEED_HEADERS="Cookie: sid=hunter2",
                RUGS_LOG_LEVEL="debug",
            )
            said: list[bytes] = []
            seen: list[str] = []

            async def run(*arguments: str, code: int = 0, **settings: str) -> bytes:
                done = await asyncio.to_thread(lambda: rugs(*arguments, given=b"", **settings))
                said.extend((done.stdout, done.stderr))
                assert done.returncode == code, (arguments, done.stdout, done.stderr)
                return done.stdout

            await run("up", "--detach", code=1, RUGS_FEED_URL="http://u:hunter2/x@h")
            assert said[-1].startswith(b"rugs: RUGS_FEED_URL: not the address of a feed: write https://HOST")
            await run("up", "--detach")
            try:
                for arguments in (("status", "--json"), ("config", "show"), ("sources", "--json")):
                    await run(*arguments)
                seen += command_lines()
                capture = ("capture", "--seconds", "1", "--auth", f"@{tmp_path}/auth.json", "--query", "a=b")
                found = json.loads(await run(*capture, "--json"))
                assert found["frames"] >= 3
                assert feed.seen[-1].connect == '40/prices,{"token":"hunter2"}'
                assert feed.seen[-1].query[:2] == [("token", "hunter2"), ("a", "b")]
            finally:
                await run("down")
    notes = rows(root, "select extra from system_event where event = 'source_connected'")
    assert {json.loads(note)["url"] for (note,) in notes} == {
        f"http://127.0.0.1:{feed.port}/prices?token=***",
        f"http://127.0.0.1:{feed.port}/prices?token=***&a=b",
    }
    stored = str(rows(root, "select * from events"))
    logs = [file.read_text() for file in (root / "state" / "logs").iterdir()]
    assert len(logs) >= 3
    for text in (stored, *logs, *seen, *(text.decode() for text in said)):
        assert not any(secret in text for secret in SECRETS), text
