"""Check that no module has grown past the limit; a long module wants to be two."""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT = 400
"""Lines, blank ones included."""

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("libs", "services", "tests", "tools")


def main() -> int:
    """Print every module above the limit; return 1 if there is one."""
    modules = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in modules}
    too_long = {path: length for path, length in lengths.items() if length > LIMIT}
    for path, length in sorted(too_long.items()):
        print(f"{path}: {length} lines, the limit is {LIMIT}")
    if not too_long:
        print(f"{len(modules)} modules, none above {LIMIT} lines")
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main())
