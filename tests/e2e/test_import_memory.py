"""`rugs import` takes the same memory whatever a file's size: the processes as they ship, the most they ever held.

The files are as large as a test has time for. `RUGS_LARGE_MB=2048 pytest -s -k same_memory` makes the large ones
of that size and prints what every process took; it needs minutes, and twice that room on the disk.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Final

import psutil
import pytest
import zstandard

from rugs_runtime.service import presence
from rugs_sim.old_files.generate import frame_lines, tick_lines
from tests.bench.processes import usage
from tests.support.stackkit import RUGS, Rugs

MB: Final = 1 << 20
ASKED: Final = int(os.environ.get("RUGS_LARGE_MB", "0"))
MOST_MORE: Final = (128 if ASKED else 48) * MB
"""What the importer may take more for a larger file, as its buffers fill by chance: far from the file's bytes, or its
lines as Python has them. Looking up games recorded twice takes 100 MB at the most, which only a large file reaches."""
MOST: Final = {"importer": 300 * MB, "writer": 350 * MB}
"""What they may take for any file. The writer compacts between two commits, when it sees fit: it has no other bound."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 2 * ASKED)]


def captures(seed: int) -> Iterator[bytes]:
    """Give the content of a raw capture without end."""
    once = b"".join(line + b"\n" for line in islice(frame_lines(seed), 1, 500))  # without the first, which all share
    while True:
        yield once


def games(seed: int) -> Iterator[bytes]:
    """Give the content of a file of ticks without end, the same games again and again under other ids."""
    once = b"".join(line + b"\n" for line in islice(tick_lines(seed), 1500))
    for number in range(10_000):
        yield once.replace(b'"game_id": "2025', b'"game_id": "%04d' % number)


def write(file: IO[bytes], content: Iterator[bytes], size: int) -> None:
    written = 0
    while written < size:
        written += file.write(next(content))


def pack(path: Path, suffix: str) -> Path:
    """Pack a file, and leave nothing but that."""
    target = path.with_name(path.name + suffix)
    open_packed = zstandard.open if suffix == ".zst" else partial(gzip.open, compresslevel=1)
    with path.open("rb") as file, open_packed(target, "wb") as packing:
        shutil.copyfileobj(file, packing, MB)
    path.unlink()
    return target


def peaks_of_import(rugs: Rugs, path: Path) -> dict[str, int]:
    """Import a file; return the most that the importer and the writer held meanwhile, in bytes."""
    writer = presence(rugs.root, "parquet-writer")
    assert writer is not None
    Path(f"/proc/{writer}/clear_refs").write_text("5")  # forget the most that it ever held
    importer = 0
    command = ("import", path, "--wait", "--json")
    with subprocess.Popen([RUGS, *command], env=rugs.environment, stdout=subprocess.PIPE) as process:
        parent = psutil.Process(process.pid)
        while process.poll() is None:
            for child in parent.children():
                if used := usage(child.pid):
                    importer = max(importer, used.peak)
            time.sleep(0.01)
        assert process.stdout is not None
        told = json.loads(process.stdout.read())
    assert process.returncode == 0
    assert told["stored"] == told["records"] == told["lines"] > 0
    used = usage(writer)
    assert used is not None
    found = {"importer": importer, "writer": used.peak}
    sizes = ", ".join(f"{process} {size / 1e6:.0f} MB" for process, size in found.items())
    print(f"{path.name}: {told['lines']:,} lines in {told['seconds']} s; {sizes}")
    return found


@pytest.mark.parametrize(
    ("content", "name", "small", "large", "suffix"),
    [
        pytest.param(captures, "x_raw.jsonl", 16, ASKED or 80, ".zst", id="raw captures"),
        pytest.param(games, "game_20251202_020000.jsonl", 3, ASKED or 12, ".gz", id="ticks"),
    ],
)
def test_a_file_of_any_size_takes_the_same_memory(
    stack: Rugs,
    tmp_path: Path,
    content: Callable[[int], Iterator[bytes]],
    name: str,
    small: int,
    large: int,
    suffix: str,
) -> None:
    peaks = []
    for seed, (size, is_packed) in enumerate(((small, False), (large, False), (large, True))):
        path = tmp_path / name
        with path.open("wb") as file:
            write(file, content(seed), size * MB)
        if is_packed:
            path = pack(path, suffix)
        peaks.append(peaks_of_import(stack, path))
        path.unlink()
    least, *others = peaks
    for more in others:
        assert more["importer"] <= least["importer"] + MOST_MORE, peaks
        assert all(more[process] <= MOST[process] for process in MOST), peaks
