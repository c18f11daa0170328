"""The command `rugs`.

`rugs decode` is started once for every message that somebody watches, so it goes
straight to its module; everything else goes through Typer.
"""

from __future__ import annotations

import sys

from rugs_core import entry


def main() -> int:
    """Run the command line; return its exit code: 0 done, 1 failed, 2 wrong usage, or an extra is not installed."""
    return entry.run("rugs", _run)


def _run() -> int:
    if sys.argv[1:] in (["decode"], ["decode", "--json"]):
        from rugs_cli.commands.decode import decode_stdin

        return decode_stdin()
    from rugs_cli.app import run

    return run()


if __name__ == "__main__":
    sys.exit(main())
