"""Ctrl-C during a query: DuckDB is told at once, whatever it is doing."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import duckdb

_INTERRUPT_SECONDS: Final = 3.0


def interruptible(connection: duckdb.DuckDBPyConnection, work: Callable[[], None]) -> None:
    """Run work with a connection in a thread of its own; at Ctrl-C, and at SIGTERM, interrupt it and end.

    Raises:
        KeyboardInterrupt: when it was interrupted and the work has cleaned up after itself.
        BaseException: whatever the work raises.
    """
    failures: list[BaseException] = []
    done = threading.Event()  # an interrupted Thread.join() takes the thread for ended

    def run() -> None:
        try:
            work()
        except BaseException as error:  # raised below, in the main thread
            failures.append(error)
        finally:
            done.set()

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        threading.Thread(target=run, daemon=True).start()
        done.wait()
    except KeyboardInterrupt:
        _interrupt(connection, done)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    if failures:
        raise failures[0]


def _interrupt(connection: duckdb.DuckDBPyConnection, done: threading.Event) -> None:
    """Interrupt until the work is done: DuckDB forgets an interrupt that comes between two of its steps.

    Work that writes to a pipe nobody reads cannot end, so the process does.
    """
    deadline = time.monotonic() + _INTERRUPT_SECONDS
    while not done.wait(0.02):
        connection.interrupt()
        if time.monotonic() > deadline:
            os._exit(130)
