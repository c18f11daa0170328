"""The command `parquet-writer`."""

from __future__ import annotations

import sys

from rugs_core import entry


def main() -> int:
    """Run the parquet-writer until SIGTERM; exit code 3 says that another one has taken over."""
    return entry.run("parquet-writer", _main)


def _main() -> int:
    from parquet_writer.process import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
