"""Runs a program that ends with the process that started it, however that one ends: `tied.py PARENT PROGRAM [ARG...]`.

It becomes the program, so the process id stays. Only Linux can tie it; elsewhere the program just runs. A
program of its own, run with `python -I -S`, because setting this between fork and exec is not safe beside threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL = 1
"""`PR_SET_PDEATHSIG` of prctl(2). The parent is the thread that started this process."""


def main(parent: str, program: str, *arguments: str) -> None:
    """Become the program, unless the parent is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() == int(parent):
        os.execv(program, [program, *arguments])  # noqa: S606 (the program that the caller named)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as failure:
        sys.exit(f"cannot run {sys.argv[2]}: {failure.strerror}")
