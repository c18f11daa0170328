"""The command `capture-gateway`."""

from __future__ import annotations

import sys

from rugs_core import entry


def main() -> int:
    """Run the capture-gateway until SIGTERM."""
    return entry.run("capture-gateway", _main)


def _main() -> int:
    from capture_gateway.process import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
