"""The command `python -m rugs_discovery.compat.jsonl_ingest --recordings DIR --output DIR [--no-embed]`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rugs_core.errors import RugsError
from rugs_discovery.compat.ingest import IngestionResult, ingest_websocket_recordings

_UNNOTICED: Final = 1.0
"""Seconds that a scan takes before its progress is shown."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status: 0, or 1 if nothing could be ingested."""
    parser = argparse.ArgumentParser(
        prog="python -m rugs_discovery.compat.jsonl_ingest",
        description="Scan recordings; write event schemas, field index and coverage report.",
    )
    parser.add_argument("--recordings", type=Path, required=True, metavar="DIR", help="folder of *.jsonl files")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the documents")
    parser.add_argument("--no-embed", action="store_true", help="leave the search index alone")
    options = parser.parse_args(arguments)
    progress = _ProgressLine() if sys.stderr.isatty() else None
    try:
        done = ingest_websocket_recordings(options.recordings, options.output, not options.no_embed, progress=progress)
    except (RugsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if progress is not None:
            progress.clear()
    print(f"Files scanned: {done.files_scanned}")
    print(f"Events discovered: {done.events_discovered}")
    print(f"Fields discovered: {done.fields_discovered}")
    print(f"Chunks embedded: {done.chunks_embedded}")
    print(f"Errors: {len(done.errors) + done.errors_left_out}")
    return 0


class _ProgressLine:
    """A line on the terminal that says how far a long scan is."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._is_shown = False

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self._start >= _UNNOTICED:
            self._is_shown = True
            print(f"\r\x1b[K{done / 1e6:,.0f} of {total / 1e6:,.0f} MB", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the line."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


__all__ = ["IngestionResult", "ingest_websocket_recordings", "main"]

if __name__ == "__main__":
    sys.exit(main())
