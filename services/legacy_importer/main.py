"""The command `legacy-importer`."""

from __future__ import annotations

import sys

from rugs_core import entry


def main() -> int:
    """Import what the command line names; exit code 0 for success, 1 for failure, 2 for wrong usage."""
    return entry.run("legacy-importer", _main)


def _main() -> int:
    from legacy_importer.importing import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
