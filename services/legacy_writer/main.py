"""The command `legacy-writer`."""

from __future__ import annotations

import sys

from legacy_writer.process import main

if __name__ == "__main__":
    sys.exit(main())
