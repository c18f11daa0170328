"""`rugs coverage` and `rugs games`: what was recorded of a period, and how complete each game is."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rugs_cli.output import AsJson, CommandError, counted, human_seconds, print_json, print_table
from rugs_cli.period import From, To, begin_us, end_us, iso, utc
from rugs_core.time import DAY_US, now_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rugs_query.coverage import Coverage
    from rugs_query.games import Game

_WIDEST: Final = 100
_GAPS: Final = 20
"""Gaps of a source that are shown, the longest; --json has all."""

OneSource = Annotated[
    str | None, typer.Option("--source", help="One source only; import, replay and manual count only if named.")
]
OneGame = Annotated[str | None, typer.Option("--game", metavar="ID", help="Only this game.")]
Incomplete = Annotated[bool, typer.Option("--incomplete", help="Only games that ended and miss ticks.")]


def coverage(from_: From = None, to: To = None, source: OneSource = None, as_json: AsJson = False) -> None:
    """Show what share of a period was really recorded, source by source, with the gaps and their causes.

    Without --to up to now, and without --from the 24 hours before. A period ends now at the latest.
    """
    from rugs_query.coverage_lake import read
    from rugs_runtime.settings import Settings

    now = now_us()
    end = now if to is None else min(end_us(to), now)
    start = end - DAY_US if from_ is None else begin_us(from_)
    if start >= now:
        raise typer.BadParameter("the period has not begun yet: --from is in the future")
    if start >= end:
        raise typer.BadParameter("the period is empty: --from is not before --to")
    found = read(Settings.load().data_dir, start, end, source, now=now)
    if as_json:
        print_json({"from": iso(start), "to": iso(end), "sources": [_as_dict(each) for each in found]})
    else:
        print(f"{utc(start)} to {utc(end)} UTC, {human_seconds((end - start) / 1e6)}")
        for each in found:
            _show(each)
        if not found and source is None:
            print("no source recorded anything")
    if source is not None and not any(each.sessions for each in found):
        raise CommandError(f"the source {source} recorded nothing in this time")


def _as_dict(found: Coverage) -> dict[str, Any]:
    gaps = [
        {"from": iso(gap.since), "until": iso(gap.until), "seconds": (gap.until - gap.since) / 1e6, "cause": gap.cause}
        for gap in found.gaps
    ]
    return {
        "source": found.source,
        "share": round(found.share, 6),
        "recorded_seconds": found.seconds,
        "sessions": found.sessions,
        "events": found.events,
        "gaps": gaps,
        "outages": [
            {
                "from": iso(each.since),
                "until": iso(each.until),
                "seconds": (each.until - each.since) / 1e6,
                "cause": each.cause,
                "session_id": each.session_id,
                "url": each.url,
                "page": each.page,
            }
            for each in found.outages
        ],
    }


def _show(found: Coverage) -> None:
    from rugs_query.coverage import picture

    width = min(_WIDEST, shutil.get_terminal_size().columns - 2)
    about = f"{human_seconds(found.seconds)} in {counted(found.sessions, 'session')}, {counted(found.events, 'event')}"
    print(f"\n{found.source}: {found.share:.2%} recorded, {about}")
    print(f"│{picture(found.recorded, found.start, found.end, width)}│")
    _show_longest("gap", [each[:3] for each in found.gaps])
    _show_longest("outage of one connection", [each[:3] for each in found.outages])


def _show_longest(what: str, periods: Sequence[tuple[int, int, str]]) -> None:
    """Show the longest of periods (since, until, cause), the earliest first."""
    longest = sorted(periods, key=lambda period: period[0] - period[1])[:_GAPS]
    rows = [
        (utc(since), utc(until), human_seconds((until - since) / 1e6), cause) for since, until, cause in sorted(longest)
    ]
    if rows:
        print_table(rows, header=(f"{what} from", "until", "for", "cause"))
    if len(periods) > len(rows):
        print(f"and {counted(len(periods) - len(rows), 'shorter one')}")


def games(
    from_: From = None, to: To = None, incomplete: Incomplete = False, game: OneGame = None, as_json: AsJson = False
) -> None:
    """List games: when, how high, how many ticks, and how many of these are missing.

    Where a game's history tells its prices, these are counted, too: they are in the view `game`. --json also has how
    many ticks were received themselves, and how many are known only from a later state.
    """
    from rugs_query.games import list_games
    from rugs_runtime.settings import Settings

    start = None if from_ is None else begin_us(from_)
    end = None if to is None else end_us(to)
    found = list_games(Settings.load().data_dir, start, end, incomplete=incomplete, game_id=game)
    if as_json:
        print_json([each.as_dict() for each in found])
    elif found or game is None:
        _show_games(found)
    if game is not None and not found:
        raise CommandError(f"no game {game} among those asked for: `rugs games` lists them")


def _show_games(found: list[Game]) -> None:
    rows = [
        (
            each.game_id,
            utc(each.first_us)[: len("2026-06-01 12:00")],
            None if each.peak is None else f"{each.peak:.2f}",
            None if each.ticks is None else f"{each.ticks:,}{'' if each.ended else '+'}",
            each.missing,
            each.history_prices or None,
        )
        for each in found
    ]
    if rows:
        print_table(rows, header=("game", "time (UTC)", "peak", "ticks", "missing", "history"))
    print(f"{counted(len(found), 'game')}, {sum(each.complete for each in found):,} complete")
    if not all(each.ended for each in found):
        print("+: it goes on, or its end is not known")
    if any(each.missing and each.history_prices for each in found):
        print("Prices of missing ticks are in the history: rugs sql \"select extra->'$.prices' from game\"")
