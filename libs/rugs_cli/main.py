"""The command `rugs`.

`rugs decode` is started once for every message that somebody watches, so it goes
straight to its module; everything else goes through Typer.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; return its exit code: 0 done, 1 failed, 2 wrong usage, or an extra is not installed."""
    try:
        if sys.argv[1:] in (["decode"], ["decode", "--json"]):
            from rugs_cli.commands.decode import decode_stdin

            return decode_stdin()
        from rugs_cli.app import run

        return run()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("rugs_"):
            raise
        print(f"rugs: {error.name} is not installed: pip install 'rugbus[stack]' brings it", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
