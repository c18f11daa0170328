"""The command `legacy-writer`."""

from __future__ import annotations

import sys

from rugs_core import entry


def main() -> int:
    """Write the old formats until SIGTERM; exit code 3 says that another process has taken over."""
    return entry.run("legacy-writer", _main)


def _main() -> int:
    from legacy_writer.process import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
