"""`python -m tests.bench`: measure, and print the figures. `RECORDINGS=DIR` takes real recordings."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.bench import measure, report
from tests.bench.measure import Plan
from tests.bench.recordings import FRAMES, TICKS


def main() -> int:
    """Run the bench; exit code 1 if a process failed or a lake is not whole, never because of a speed."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 140, soft_wrap=False)
    real = os.environ.get("RECORDINGS")
    plan = Plan(
        events={FRAMES: options.frames, TICKS: options.ticks},
        lines={FRAMES: min(options.frames, options.lines[0]), TICKS: min(options.ticks, options.lines[1])},
        real=Path(real) if real else None,
    )
    with tempfile.TemporaryDirectory(prefix="rugs-bench-", dir=options.folder) as folder:
        try:
            result = measure.run(plan, Path(folder), lambda what: print(f"... {what}", file=sys.stderr, flush=True))
        except RuntimeError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    if options.json:
        options.json.write_text(json.dumps(dataclasses.asdict(result), indent=2) + "\n")
    report.show(result, console)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: start and last wait then show")
    parser.add_argument("--frames", type=int, metavar="N", help="frames to publish (default 60,000)")
    parser.add_argument("--ticks", type=int, metavar="N", help="ticks to publish (default 600,000)")
    parser.add_argument("--folder", type=Path, help="where to work: on the disk that is to be measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args()
    share = 10 if options.quick else 1
    options.frames = options.frames or 60_000 // share
    options.ticks = options.ticks or 600_000 // share
    options.lines = (40_000 // share, 400_000 // share)
    return options


if __name__ == "__main__":
    sys.exit(main())
