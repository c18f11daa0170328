"""The capture-gateway of one `rugs capture`: kept running, and counted over all its lives."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from signal import SIGKILL, SIGTERM
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from rugs_runtime.settings import Settings
    from rugs_runtime.stopping import Stop

CAPTURE: Final = "capture"
"""The name under which `rugs capture` answers."""
COUNTS: Final = ("connections", "frames", "bytes", "gaps", "refused")


class CapturingGateway:
    """A capture-gateway that is started again when it dies, while the `with` body runs.

    One that has never answered is given up: it cannot capture, and `error` says why.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str], *, derive: bool) -> None:
        from rugs_runtime.keeper import Keeper
        from rugs_runtime.programs import Program
        from rugs_runtime.stack import log_file

        self._settings = settings
        self._open = ExitStack()
        self._lifeline, ours = os.pipe()
        self._open.callback(os.close, self._lifeline)
        self._open.callback(os.close, ours)
        self._reports = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (closed with all else)
        self._lives: dict[int, dict[str, int]] = {}
        self._told_restarts = 0
        log = log_file(settings, CAPTURE)
        log.parent.mkdir(parents=True, exist_ok=True)
        derivation = () if derive else ("--no-derivation",)
        self._keeper = Keeper(
            Program(
                CAPTURE,
                (sys.executable, "-m", "capture_gateway.main", "--name", CAPTURE, "--report", *derivation),
                environment=environment,
                log_file=log,
                lifeline=self._lifeline,
                output=self._reports,
            )
        )

    def __enter__(self) -> Self:
        self._keeper.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._keeper.info.pid

    @property
    def error(self) -> str | None:
        """Why it cannot capture at all."""
        return None if self._lives else self._keeper.info.error

    def ended_again(self) -> str | None:
        """Return why it has ended, once after each time."""
        info = self._keeper.info
        if info.restarts == self._told_restarts:
            return None
        self._told_restarts = info.restarts
        return info.error

    def note(self, pid: int, source: Mapping[str, Any]) -> None:
        """Note what the source has brought in this life."""
        bus = source["bus"]
        refused = bus["refused"] + bus["dropped"]
        self._lives[pid] = {name: source[name] for name in COUNTS if name in source} | {"refused": refused}

    def counts(self) -> dict[str, int]:
        """Return what the source has brought in all lives, as far as is known."""
        return {name: sum(life[name] for life in self._lives.values()) for name in COUNTS}

    async def stop(self, stop: Stop) -> dict[str, Any] | None:
        """Have it end; return its last report of its source, if it could still make one.

        Raises:
            RuntimeError: if it has failed at its end: why.
        """
        pid = self.pid
        await self._keeper.stop(self._settings.stop_timeout, stop.hurry)
        info = self._keeper.info
        if info.exit_code == 0 and pid is not None:
            self._reports.seek(0)
            source: dict[str, Any] = json.loads(self._reports.read().splitlines()[-1])["sources"][0]
            self.note(pid, source)
            return source
        if pid is not None and info.exit_code not in (None, -SIGTERM, -SIGKILL):
            raise RuntimeError(f"the capture ended with exit code {info.exit_code}: see its log in state/logs")
        return None
