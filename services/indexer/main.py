"""The command `indexer`."""

from __future__ import annotations

import sys

from rugs_core import entry


def main() -> int:
    """Keep discovery and the semantic index current until SIGTERM."""
    return entry.run("indexer", _main)


def _main() -> int:
    from indexer.process import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
