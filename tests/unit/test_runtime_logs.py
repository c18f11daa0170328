"""Logs as another process sees them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

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
