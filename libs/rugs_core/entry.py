"""Where a command begins: before anything is imported that may not be installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

EXIT_NOT_READ: Final = 1
EXIT_NOT_INSTALLED: Final = 2
_OF_THE_INDEX: Final = frozenset({"lancedb", "numpy", "openvino", "tokenizers"})


def run(name: str, main: Callable[[], int]) -> int:
    """Run the command `name`: return the exit code of `main`, which imports what it needs by itself.

    Where a package is missing, say in one line which one, and which extra brings it. Where nobody reads the output
    any more (`rugs … | head`), end without a word.
    """
    try:
        return main()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes it once more
        return EXIT_NOT_READ
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("rugs_"):
            raise
        print(f"{name}: {not_installed(error.name)}", file=sys.stderr)
        return EXIT_NOT_INSTALLED


def not_installed(package: str) -> str:
    """Return the message about a package that is missing: which extra brings it."""
    extra = "index" if package.partition(".")[0] in _OF_THE_INDEX else "stack"
    return f"{package} is not installed: pip install 'rugbus[{extra}]' brings it"
