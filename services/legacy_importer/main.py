"""The command `legacy-importer`."""

from __future__ import annotations

import sys

from legacy_importer.importing import main

if __name__ == "__main__":
    sys.exit(main())
