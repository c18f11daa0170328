"""Logs as another process sees them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from rugs_runtime.log_files import LOG_FILE, last_error, mark, rotated

SCRIPT = """
import logging, structlog
from rugs_runtime import logs
logs.configure("demo", "info")
log = structlog.get_logger("x")
log.debug("not shown")
log.info("hello", url="nats://user:secret@host:1", size=3, data=b"x")
logging.getLogger("library").warning("from nats://user:secret@host:2 elsewhere")
try:
    try:
        raise ValueError("of https://host/?token=secret")
    except ValueError as error:
        log.warning("one", error=error, told={"urls": ["wss://user:secret@host"]})
        1 / 0
except ZeroDivisionError:
    log.exception("failed")
    logging.getLogger("library").exception("failed, too")
print("only this is output")
"""


@pytest.mark.slow
def test_json_lines_on_standard_error() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == "only this is output\n"
    assert "secret" not in done.stderr
    hello, library, one, failed, too = (json.loads(line) for line in done.stderr.splitlines())
    assert (hello["event"], hello["size"], hello["level"]) == ("hello", 3, "info")
    assert hello["url"] == "nats://***@host:1"
    assert library["event"] == "from nats://***@host:2 elsewhere"
    assert (one["error"], one["told"]) == ("of https://host/?token=***", {"urls": ["wss://***@host"]})
    assert "ZeroDivisionError" in failed["exception"]
    assert "ZeroDivisionError" in too["exception"]
    assert {line["service"] for line in (hello, library, one, failed, too)} == {"demo"}
    assert all(line["timestamp"].endswith("Z") for line in (hello, library, one, failed, too))


@pytest.mark.slow
def test_lines_for_people_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", SCRIPT], stderr=theirs, stdout=subprocess.DEVNULL, check=True)
        os.close(theirs)
        text = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
    assert "hello" in text
    assert not text.startswith("{")
    assert "secret" not in text


WRITER = """
import os, subprocess, sys
from rugs_runtime import log_files, logs
import structlog
log_files.LOG_LIMIT = int(sys.argv[1])
logs.configure("demo", "info")
log = structlog.get_logger("x")
first, last = map(int, sys.argv[2:4])
for number in range(first, last):
    log.info("line", number=number)
    if number % 100 == 0:
        os.write(1, b'{"number": %d, "printed": true}\\n' % number)
log.error("the last", reason="of all")
"""


def write_log(path: Path, limit: int, *ranges: tuple[int, int]) -> None:
    """Have processes that share one log write numbered lines at the same time."""
    with path.open("ab") as output:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(limit), str(first), str(last)],
                env={**os.environ, LOG_FILE: str(path)},
                stdout=output,
                stderr=output,
            )
            for first, last in ranges
        ]
    assert [process.wait(60) for process in processes] == [0] * len(processes)


def numbers(*paths: Path) -> list[int]:
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return [line["number"] for line in lines if "number" in line and "printed" not in line]


@pytest.mark.slow
def test_a_log_is_rotated_while_its_process_runs_and_no_line_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "demo.log"
    start = mark(path)
    write_log(path, 100_000, (0, 1_200))  # rotated once
    assert numbers(rotated(path), path) == list(range(1_200))
    assert last_error(path, start) == "the last: of all"
    write_log(path, 20_000, (0, 3_000))  # and many times
    kept = numbers(rotated(path), path)
    assert kept == list(range(3_000))[-len(kept) :]
    assert all(each.stat().st_size < 21_000 for each in (path, rotated(path)))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["demo.log", "demo.log.1"]


@pytest.mark.slow
def test_processes_that_share_a_log_rotate_it_once(tmp_path: Path) -> None:
    path = tmp_path / "demo.log"
    write_log(path, 150_000, (0, 700), (10_000, 10_700))
    assert sorted(numbers(rotated(path), path)) == [*range(700), *range(10_000, 10_700)]


def test_the_last_error_is_found_where_the_log_was_rotated_since(tmp_path: Path) -> None:
    path = tmp_path / "demo.log"
    path.write_text(json.dumps({"level": "error", "event": "before the mark"}) + "\n")
    since = mark(path)
    assert last_error(path, since) is None
    with path.open("a") as log:
        log.write(json.dumps({"level": "error", "event": "after"}) + "\n")
    path.replace(rotated(path))
    path.write_text(json.dumps({"level": "info", "event": "went on"}) + "\n")
    assert last_error(path, since) == "after"
    path.write_text("Traceback:\nZeroDivisionError: by zero\n")
    assert last_error(path, since) == "ZeroDivisionError: by zero"
    assert last_error(tmp_path / "none.log", since) is None
