"""`python -m tests.bench.discovery`: how fast recordings are scanned, beside what somebody would write in an hour.

`RECORDINGS=DIR` takes real recordings. In one run: reading and parsing alone, a plain recursive walk, and discovery
in one process and in as many as there are cores; and its memory with twice the events.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table

from rugs_discovery.scan import scan
from tests.bench.recordings import FRAMES, KINDS, TICKS, made_up, real

PLAIN_BYTES: Final = 32 << 20
"""Bytes that the slow ways are given: their speed does not depend on how many there are."""
_CHILD: Final = """
import resource, sys
from pathlib import Path
from rugs_discovery.scan import scan
scan([Path(name) for name in sys.argv[1:]], processes=1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.discovery", description=__doc__)
    parser.add_argument("--mb", type=int, default=200, metavar="N", help="MB to scan, in all (default 200)")
    options = parser.parse_args()
    source = os.environ.get("RECORDINGS")
    with tempfile.TemporaryDirectory(prefix="rugs-bench-") as name:
        folder = Path(name)
        kinds = real(Path(source), folder) if source else made_up(folder, {FRAMES: 6000, TICKS: 120_000})
        for kind in KINDS:
            files = sorted(kinds[kind].files)
            if files:
                _measure(kind, files if source else _grown(files, folder / "more" / kind, options.mb * 500_000))
    return 0


def _measure(kind: str, files: Sequence[Path]) -> None:
    size = sum(file.stat().st_size for file in files)
    few = _up_to(files, PLAIN_BYTES)
    cores = os.cpu_count() or 1
    table = Table(
        "way", "MB", "MB/s", "peak MB", title=f"Discovery of {kind}: {len(files)} files, {size / 1e6:,.0f} MB"
    )
    ways: list[tuple[str, Sequence[Path], Callable[[Sequence[Path]], object]]] = [
        ("orjson alone, 1 process", few, _parse),
        ("plain recursive walk, 1 process", few, _walk),
        ("discovery, 1 process", few, lambda paths: scan(paths, processes=1)),
        (f"discovery, {cores} processes", files, lambda paths: scan(paths, processes=cores)),
    ]
    for name, paths, way in ways:
        mb = sum(path.stat().st_size for path in paths) / 1e6
        began = time.perf_counter()
        way(paths)
        table.add_row(name, f"{mb:,.0f}", f"{mb / (time.perf_counter() - began):,.1f}", "")
    half = _up_to(files, size // 2)
    for paths in (half, files):
        mb = sum(path.stat().st_size for path in paths) / 1e6
        table.add_row("discovery, 1 process: memory", f"{mb:,.0f}", "", f"{_memory(paths):,.0f}")
    Console(width=100).print(table)


def _parse(paths: Iterable[Path]) -> None:
    for line in _lines(paths):
        orjson.loads(line)


def _walk(paths: Iterable[Path]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for line in _lines(paths):
        _count(orjson.loads(line), "", found)
    return found


def _count(value: Any, path: str, found: Counter[tuple[str, str]]) -> None:
    found[path, type(value).__name__] += 1
    if isinstance(value, dict):
        for key, member in value.items():
            _count(member, f"{path}.{key}", found)
    elif isinstance(value, list):
        for element in value:
            _count(element, f"{path}[]", found)


def _lines(paths: Iterable[Path]) -> Iterable[bytes]:
    """Give the whole lines of files; a damaged one is left out."""
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                if line.startswith(b'{"') and not line.startswith(b'{"{') and line.rstrip().endswith(b"}"):
                    yield line


def _up_to(files: Sequence[Path], size: int) -> list[Path]:
    """Return as many files as have about so many bytes."""
    found, done = [], 0
    for file in files:
        found.append(file)
        done += file.stat().st_size
        if done >= size:
            break
    return found


def _grown(files: Sequence[Path], folder: Path, size: int) -> list[Path]:
    """Return so many bytes of files: copies with a line of their own, so that each counts."""
    folder.mkdir(parents=True)
    made: list[Path] = []
    done = 0
    while done < size:
        source = files[len(made) % len(files)]
        target = folder / f"{len(made):05}-{source.name}"
        content = source.read_bytes() + orjson.dumps({"event": "copy", "data": {"number": len(made)}}) + b"\n"
        target.write_bytes(content)
        made.append(target)
        done += len(content)
    return made


def _memory(paths: Sequence[Path]) -> float:
    command = [sys.executable, "-c", _CHILD, *map(str, paths)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024) / 1e6


if __name__ == "__main__":
    sys.exit(main())
