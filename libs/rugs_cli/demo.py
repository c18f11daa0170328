"""`make demo`: the whole stack in a temporary folder, from old recordings to an answer.

Runs the commands that a user would type. `RECORDINGS=DIR` imports that folder; without
it, the small set that the project ships (its own generator wrote it).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import plotext

import rugs_lake
from rugs_cli.output import counted

SHIPPED: Final = Path(__file__).parents[2] / "demo" / "recordings"
CURVE_WIDTH: Final = 78
CURVE_HEIGHT: Final = 16

BY_DOC_TYPE: Final = (
    "select doc_type, count(*) as events, count(distinct game_id) as games from events group by 1 order by 2 desc"
)
BY_GAME: Final = """
select game_id, count(*) as ticks, max(tick) as last_tick, round(max(price), 3) as peak, bool_or(rugged) as rugged
from tick group by 1 order by ticks desc limit 8
"""
ANSWER: Final = """
select case when peak < 1.5 then 'under 1.5x' when peak < 5 then '1.5x to 5x' else 'over 5x' end as peaked,
       count(*) as games, round(avg(ticks)) as ticks_on_average
from (
    select game_id, max(price) as peak, max(tick) as ticks from tick group by 1
)
group by 1 order by min(peak)
"""
LONGEST: Final = """
select game_id, list(price order by tick) from (
    select game_id, tick, max(price) as price from game_tick where active and not rugged group by 1, 2
) group by 1 order by count(*) desc, 1 limit 1
"""


def main() -> int:
    """Run the demo; return the exit code."""
    recordings = Path(os.environ.get("RECORDINGS") or SHIPPED)
    if not recordings.exists():
        print(f"demo: no such folder: {recordings}", file=sys.stderr)
        return 2
    began = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: the stack is stopped
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="rugs-demo-") as folder:
        environment = {**os.environ, "RUGS_DATA_DIR": folder, "RUGS_BROKER_PORT": "0"}
        environment.pop("NATS_URL", None)
        try:
            _rugs(environment, "up", "--detach")
            _rugs(environment, "import", str(recordings), "--wait")
            _show(environment, Path(folder))
            _rugs(environment, "verify")
        except subprocess.CalledProcessError as error:
            print(f"demo: `{shlex.join(error.cmd[-2:])}` failed with exit code {error.returncode}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            _stop(environment)
    print(f"\nAll of it took {time.monotonic() - began:.1f} s. Your own: RECORDINGS=DIR make demo, or `rugs up`.")
    return 0


def _stop(environment: dict[str, str]) -> None:
    """Stop the stack, whatever signals come and whether or not the terminal is still there."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        print("\n$ rugs down", flush=True)
    down = [sys.executable, "-m", "rugs_cli.main", "down"]
    subprocess.run(down, env=environment, check=False, start_new_session=True)  # noqa: S603 - our own


def _show(environment: dict[str, str], root: Path) -> None:
    print("\nWhat arrived, by doc type:")
    _rugs(environment, "sql", BY_DOC_TYPE)
    print("\nThe games with the most ticks:")
    _rugs(environment, "sql", BY_GAME)
    _draw_longest_game(root)
    print("\nHow high do games go?")
    _rugs(environment, "sql", ANSWER)


def _rugs(environment: dict[str, str], *arguments: str) -> None:
    print(f"\n$ rugs {' '.join(_quoted(argument) for argument in arguments)}", flush=True)
    command = [sys.executable, "-m", "rugs_cli.main", *arguments]
    process = subprocess.Popen(command, env=environment)  # noqa: S603 - our own
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()  # it ends in order; Ctrl-C reached it, too
        process.wait()
        raise
    if code:
        raise subprocess.CalledProcessError(code, command)


def _quoted(argument: str) -> str:
    return f'"{" ".join(argument.split())}"' if " " in argument else argument


def _draw_longest_game(root: Path) -> None:
    with rugs_lake.open(root) as lake:
        game = lake.sql(LONGEST).fetchone()
    if game is None:
        return
    game_id, prices = game
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(CURVE_WIDTH, CURVE_HEIGHT)
    plotext.plot(list(range(len(prices))), prices, marker="braille")
    plotext.title(f"price of {game_id}, {counted(len(prices), 'tick')}, peak {max(prices):.2f}x")
    print(f"\n{plotext.uncolorize(plotext.build())}")


if __name__ == "__main__":
    sys.exit(main())
