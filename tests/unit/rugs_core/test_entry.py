from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = "import sys; from rugs_core import entry; sys.exit(entry.run('rugs', lambda: print('x' * 1_000_000) or 0))"


@pytest.mark.slow
def test_who_reads_only_the_beginning_sees_no_error() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10) == b"x" * 10
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1
