"""What people see: one line that is rewritten in place, by one program, and tables that fit."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from rugs_cli.live_line import LiveLine
from tests.support.lakekit import envelope, message, store, tick
from tests.support.screenkit import Terminal
from tests.support.stackkit import RUGS, clean_environment

GAMES = [f"20260601-{number:016x}" for number in range(3)]


def assert_rewritten(terminal: Terminal, beginning: str) -> None:
    """One line begins so, the one where the cursor is, and nothing has moved up to make room."""
    lines = [line for line in terminal.shown if line.startswith(beginning)]
    assert len(lines) == 1
    assert terminal.shown[-1] == lines[0]
    assert terminal.screen.display[terminal.screen.cursor.y].rstrip() == lines[0]
    assert not terminal.has_scrolled


@pytest.mark.slow
def test_of_two_programs_on_a_terminal_the_one_in_front_draws_a_line_in_place(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = f"set -m; {RUGS} sim --port {port} & {RUGS} capture --url http://127.0.0.1:{port}; fg"
    environment = clean_environment(RUGS_DATA_DIR=str(tmp_path), RUGS_BROKER_PORT="0")
    with Terminal(["/bin/bash", "-c", script], environment, columns=60) as terminal:
        terminal.until(lambda: terminal.raw.count(b"live  ") > 4)
        assert b"messages/s" not in terminal.raw
        assert_rewritten(terminal, "live  ")
        terminal.resize(120)
        drawn = terminal.raw.count(b"live  ")
        terminal.until(lambda: terminal.raw.count(b"live  ") > drawn + 4)
        assert_rewritten(terminal, "live  ")
        assert "lag" in terminal.shown[-1]
        terminal.type("\x03")
        terminal.until(lambda: terminal.raw.count(b"messages/s") > 4)
        assert_rewritten(terminal, terminal.shown[-1].split()[0])
        assert not any(line.startswith("live  ") for line in terminal.shown)
        terminal.type("\x03")
        assert terminal.ended() == 0


def test_of_two_lines_on_one_terminal_one_is_drawn_and_the_other_says_what_changes() -> None:
    """So it is in one process group, too, as a script without job control starts programs."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream, os.fdopen(ours, "rb", buffering=0) as screen:
        with LiveLine(stream) as first, LiveLine(stream) as second:
            assert first.show("one")
            assert not second.show("two")
            second.say("it is live\x1b[2J")
            assert first.show("o" * 500)
        wanted = b"\rone\x1b[K\r\r\x1b[Kit is live\\x1b[2J\r\n\r" + b"o" * 79 + b"\x1b[K\r\r\x1b[K"
        drawn = b""
        while len(drawn) < len(wanted):
            drawn += screen.read(1000)
        assert drawn == wanted
        with LiveLine(stream) as third:
            assert third.show("three")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("terminal") / "data"
    store(root, message(1, *(tick(at, game) for game in GAMES for at in (0, 2))), message(2, envelope(1)))
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "has"),
    [
        (["games"], GAMES),
        (["stats"], ["game_tick", "2026-06-01 12:00"]),
        (["config", "show"], ["RUGS_FLUSH_SECONDS=1s", "RUGS_STREAM_MAX_BYTES=8GiB"]),
        (["status"], ["capture-gateway"]),
        (["coverage", "--from", "2026-06-01", "--to", "2026-06-01"], ["public_ws", "nothing was captured"]),
        (["sql", "SELECT * FROM events"], ["shown)", "--wide"]),
        (["sql", "DESCRIBE events"], ["origin_extra"]),
    ],
)
def test_what_is_shown_fits_80_columns(lake: Path, command: list[str], has: list[str]) -> None:
    with Terminal([RUGS, *command], clean_environment(RUGS_DATA_DIR=str(lake)), columns=80, lines=200) as terminal:
        terminal.ended()
    rows = terminal.raw.decode().replace("\r", "").split("\n")
    assert max(map(len, rows)) <= 80
    assert all(each in "\n".join(terminal.shown) for each in has)
