"""Embedders in processes of their own: what they ask of the system, and one cache for several."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rugs_index.embedders.cache import CachedEmbedder
from tests.support.embedkit import HashEmbedder, hash_vector
from tests.support.powerloss import can_record

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
EMBED = "from rugs_index.embedders import choose; choose('openvino', threads=2).embed(['price', 'the game rugged'] * 9)"
FILL = """
import sys
from pathlib import Path
from rugs_index.embedders.cache import CachedEmbedder
from tests.support.embedkit import HashEmbedder
embedder = HashEmbedder()
with CachedEmbedder(embedder, Path(sys.argv[1]), lambda done, _: print(done, flush=True)) as cached:
    cached.embed([f"text {number}" for number in range(int(sys.argv[2]))])
"""


@pytest.mark.skipif(can_record() is not None, reason=str(can_record()))
def test_the_default_embedder_starts_no_process_and_opens_no_connection(tmp_path: Path) -> None:
    calls = "socket,connect,fork,vfork,clone,clone3,execve,execveat"
    trace = tmp_path / "trace"
    subprocess.run(
        ["strace", "-f", "-o", trace, "-e", f"trace={calls}", "-e", "signal=none", sys.executable, "-c", EMBED],
        cwd=REPOSITORY,
        check=True,
        timeout=100,
    )
    lines = [line for line in trace.read_text().splitlines() if re.search(rf"\b({calls.replace(',', '|')})\(", line)]
    assert [line for line in lines if "socket(" in line or "connect(" in line] == []
    started = [line for line in lines if "CLONE_THREAD" not in line]
    assert len(started) == 1, started  # Python itself
    assert "execve(" in started[0]


def test_several_processes_share_a_cache_and_one_may_be_killed(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    count = 3000
    command = [sys.executable, "-c", FILL, str(path), str(count)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=REPOSITORY) for _ in range(3)
    ]
    victim = processes[0]
    assert victim.stdout is not None
    assert victim.stdout.readline()  # it has committed something
    victim.send_signal(signal.SIGKILL)
    for process in processes:
        process.communicate(timeout=100)
    assert [process.returncode for process in processes[1:]] == [0, 0]
    embedder = HashEmbedder()
    with CachedEmbedder(embedder, path) as cached:
        texts = [f"text {number}" for number in range(count)]
        np.testing.assert_array_equal(cached.embed(texts), [hash_vector(text) for text in texts])
    assert not embedder.asked
