"""The command `parquet-writer`."""

from __future__ import annotations

import sys

from parquet_writer.process import main

if __name__ == "__main__":
    sys.exit(main())
