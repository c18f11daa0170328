"""A process that embeds, with the project's environment or with that of torch, and says how long it takes."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

_LIBS: Final = Path(__file__).parents[2] / "libs"
_CHILD: Final = Path(__file__).with_name("embedworker_child.py")


@dataclass(frozen=True)
class Answer:
    """Texts, embedded.

    Attributes:
        vectors: float32, shape (texts, dimension).
        seconds: that each request took: one for all texts, or one for each question.
    """

    vectors: np.ndarray
    seconds: list[float]


class Worker:
    """The process, running.

    Attributes:
        about: `identity`, `versions` of libraries, and `seconds` from the process's start to its first vector.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.about: dict[str, Any] = self._line()

    def embed(self, texts: Sequence[str], *, as_queries: bool = False) -> Answer:
        """Embed texts: all at once, or each as a question."""
        told = self._ask({"texts": list(texts), "as_queries": as_queries})
        flat = np.frombuffer(base64.b64decode(told["vectors"]), dtype="<f4")
        return Answer(flat.reshape(len(texts), self.about["identity"]["dimension"]), told["seconds"])

    def error_of(self, setting: str) -> str | None:
        """Return the error of choosing another embedder; None: it works."""
        error: str | None = self._ask({"choose": setting})["error"]
        return error

    def pss(self) -> int:
        """Return its proportional set size in bytes."""
        rows = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("Pss:"))

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the process ended: {self._process.wait()}"
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def worker(python: str | Path, setting: str, *, threads: int | None = None) -> Iterator[Worker]:
    """Start the process, and end it after the body.

    Args:
        python: of the environment that has the libraries.
        setting: which embedder, see `rugs_index.embedders.choose`.
        threads: that compute; None: as the embedder decides.
    """
    environment = {**os.environ, "PYTHONPATH": str(_LIBS)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else torch is compiled at each start
    command = [python, _CHILD, setting, str(threads or "")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            yield Worker(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
