"""The importer and the writer as processes, on a data root and a folder of recordings of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rugs_runtime.broker import Broker
from tests.support import stackkit


class Desk:
    """A broker, a data root and a folder of recordings, and the programs on them."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.root = folder / "data"
        self.recordings = folder / "recordings"
        self.recordings.mkdir()
        self._environment = stackkit.clean_environment(NATS_URL=broker.url, RUGS_DATA_DIR=str(self.root))

    def start(self, module: str, *arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", f"{module}.main", *map(str, arguments)]
        return subprocess.Popen(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @contextmanager
    def writer(self) -> Iterator[subprocess.Popen[str]]:
        process = self.start("parquet_writer")
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, *arguments: str | Path) -> tuple[int, str, str]:
        process = self.start("legacy_importer", *arguments)
        out, err = process.communicate(timeout=90)
        return process.returncode, out, err

    def imported(self, *more: str | Path) -> dict[str, Any]:
        code, out, err = self.run(self.recordings, "--wait", "--json", "--timeout", "60", *more)
        assert (code, err) == (0, ""), err
        told: dict[str, Any] = json.loads(out)
        assert told["lines"] == told["records"] + told["rejected"] + told["blank"]
        assert told["records"] + told["salvaged"] == told["stored"] + told["duplicates"]
        return told

    def put(self, name: str, *lines: bytes) -> Path:
        path = self.recordings / name
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    def rows(self, question: str) -> list[tuple[Any, ...]]:
        return stackkit.rows(self.root, question)
