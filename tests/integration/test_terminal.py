"""What people see: one line that is rewritten in place, by one program, and tables that fit."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.lakekit import envelope, message, store, tick
from tests.stackkit import RUGS, clean_environment
from tests.terminalkit import Terminal

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("columns", [60, 120])
def test_the_line_of_the_simulator_is_rewritten_in_place(tmp_path: Path, columns: int) -> None:
    environment = clean_environment(RUGS_DATA_DIR=str(tmp_path))
    with Terminal([RUGS, "sim", "--port", "0", "--seed", "1"], environment, columns=columns) as terminal:
        terminal.until(lambda: terminal.raw.count(b"messages/s") > 4)
        assert sum("messages/s" in line for line in terminal.shown) == 1
        assert terminal.shown[-1] == terminal.screen.display[terminal.screen.cursor.y].rstrip()
        assert not terminal.has_scrolled
        terminal.type("\x03")
        assert terminal.ended() == 0
        assert not any("messages/s" in line for line in terminal.shown)


@pytest.mark.parametrize("columns", [60, 120])
def test_of_two_programs_on_a_terminal_the_one_in_front_draws(tmp_path: Path, columns: int) -> None:
    port = free_port()
    script = f"set -m; {RUGS} sim --port {port} & {RUGS} capture --url http://127.0.0.1:{port}; kill %1; wait"
    environment = clean_environment(RUGS_DATA_DIR=str(tmp_path), RUGS_BROKER_PORT="0")
    with Terminal(["/bin/bash", "-c", script], environment, columns=columns) as terminal:
        terminal.until(lambda: terminal.raw.count(b"live  ") > 4, 90)
        assert b"messages/s" not in terminal.raw
        lines = [line for line in terminal.shown if line.startswith("live  ")]
        assert len(lines) == 1
        assert "frames" in lines[0]
        assert lines[0] == terminal.screen.display[terminal.screen.cursor.y].rstrip()
        assert not terminal.has_scrolled
        terminal.type("\x03")
        assert terminal.ended(90) == 0
        assert not any(line.startswith("live  ") for line in terminal.shown)


def test_a_program_behind_says_what_changes_in_lines_of_their_own(tmp_path: Path) -> None:
    """Both are in one process group here, as a script without job control starts them: the first one draws."""
    port = free_port()
    capture = f"{RUGS} capture --url http://127.0.0.1:{port} --seconds 2"
    script = (
        f"{RUGS} sim --port {port} & until (: >/dev/tcp/127.0.0.1/{port}); do :; done 2>&-; {capture}; kill $!; wait"
    )
    environment = clean_environment(RUGS_DATA_DIR=str(tmp_path), RUGS_BROKER_PORT="0")
    with Terminal(["/bin/bash", "-c", script], environment, columns=80) as terminal:
        assert terminal.ended(90) == 0
    assert "public: live" in [line.strip() for line in terminal.shown]
    assert b"live  " not in terminal.raw
    assert terminal.raw.count(b"messages/s") > 2


def test_a_wide_result_says_what_it_hides_and_tables_fit_the_terminal(tmp_path: Path) -> None:
    ids = [f"20260601-{number:016x}" for number in range(3)]
    store(tmp_path, message(1, *(tick(at, game) for game in ids for at in (0, 2))), message(2, envelope(1)))
    environment = clean_environment(RUGS_DATA_DIR=str(tmp_path))

    def shown(*arguments: str, columns: int = 80) -> str:
        with Terminal([RUGS, *arguments], environment, columns=columns, lines=300) as terminal:
            terminal.ended()
        assert max(map(len, terminal.shown)) <= columns
        return "\n".join(terminal.shown)

    hidden = shown("sql", "SELECT * FROM events")
    assert "shown)" in hidden
    assert "--wide" in hidden
    assert "origin_extra" not in hidden
    assert "origin_extra" in shown("sql", "SELECT * FROM events", "--wide", columns=2000)
    assert "origin_extra" in shown("sql", "DESCRIBE events")
    assert all(game in shown("games") for game in ids)
    for command in ("stats", "coverage", "config show", "status", "verify"):
        assert shown(*command.split())
