"""The command `capture-gateway`."""

from __future__ import annotations

import sys

from capture_gateway.process import main

if __name__ == "__main__":
    sys.exit(main())
