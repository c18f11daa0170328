"""`rugs search`: a question to the semantic index, in words or as an identifier."""

from __future__ import annotations

import shutil
import sys
import textwrap
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rugs_cli.output import AsJson, print_json, printable
from rugs_cli.period import begin_us, end_us

if TYPE_CHECKING:
    from rugs_index.search.answers import Item, SearchResult
    from rugs_index.search.filters import Filters

_WIDEST: Final = 120
_LINES: Final = 6
"""Lines of a text that are shown."""
_PROVENANCE: Final = ("event_type", "field_path", "game_id", "username", "timestamp")


class Mode(StrEnum):
    """How is searched; the same names as `rugs_index.search.search.MODES`."""

    AUTO = "auto"
    VECTOR = "vector"
    TEXT = "text"
    HYBRID = "hybrid"


Query = Annotated[
    list[str], typer.Argument(help="A question, words, a field's path, an event, an id.", show_default=False)
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="Hits at the most.")]
AMode = Annotated[
    Mode, typer.Option("--mode", help="auto: as the question needs it. vector: by meaning. text: by words.")
]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", help="field, event, example, game, session, player_action, ws_event, document; repeatable."),
]
Events = Annotated[list[str] | None, typer.Option("--event", help="Only of this event; repeatable.")]
Game = Annotated[str | None, typer.Option("--game", metavar="ID", help="Only of this game.")]
Player = Annotated[str | None, typer.Option("--player", help="Only of this player: id or name.")]
Session = Annotated[str | None, typer.Option("--session", metavar="ID", help="Only of this session.")]
Source = Annotated[
    str | None, typer.Option("--source", metavar="PART", help="Only where the source's name has this part.")
]
Since = Annotated[str | None, typer.Option("--since", metavar="DATE", help="First day, or time in ISO 8601; UTC.")]
Until = Annotated[str | None, typer.Option("--until", metavar="DATE", help="Last day, included, or a time.")]
Explain = Annotated[bool, typer.Option("--explain", help="Say what each hit scores for what.")]


def search(
    query: Query,
    limit: Limit = 10,
    mode: AMode = Mode.AUTO,
    kind: Kinds = None,
    event: Events = None,
    game: Game = None,
    player: Player = None,
    session: Session = None,
    source: Source = None,
    since: Since = None,
    until: Until = None,
    explain: Explain = False,
    as_json: AsJson = False,
) -> None:
    """Find what was recorded, and what fields and events mean: rugs search what is data.price

    The best hit comes first. A line says so where nothing seems to answer. Private data are found as well.
    """
    from rugs_index.search.filters import EVERYONE, Filters

    filters = Filters(
        kinds=kind or (),
        events=event or (),
        game_id=game,
        player=player,
        session_id=session,
        source=source,
        since=None if since is None else begin_us(since),
        until=None if until is None else end_us(until),
        owner=EVERYONE,
    )
    found = _found(" ".join(query), filters, limit, mode, explain=explain)
    for warning in found.warnings:
        print(f"rugs: {printable(warning)}", file=sys.stderr)
    if as_json:
        print_json(_as_json(found))
    else:
        _show(found)


def _found(query: str, filters: Filters, limit: int, mode: Mode, *, explain: bool) -> SearchResult:
    from rugs_index.search.search import open_search
    from rugs_runtime.settings import Settings

    settings = Settings.load()
    with open_search(settings.data_dir, settings.embedder.get_secret_value()) as opened:
        return opened.search(query, limit, filters.owner, filters=filters, mode=str(mode), explain=explain)


def _as_json(found: SearchResult) -> dict[str, Any]:
    return {"items": [_item(item) for item in found.items], "answerable": found.answerable, "mode": found.mode}


def _item(item: Item) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": item.id,
        "text": item.text,
        "score": item.score,
        "rank_score": item.rank_score,
        "metadata": dict(item.metadata),
        "owner": item.owner,
    }
    return told if item.legs is None else {**told, "legs": dict(item.legs)}


def _show(found: SearchResult) -> None:
    if not found.items:
        print("nothing was found")
        return
    if not found.answerable:
        print("nothing here seems to answer this; the nearest:\n")
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    print("\n\n".join(_hit(number, item, width) for number, item in enumerate(found.items, 1)))


def _hit(number: int, item: Item, width: int) -> str:
    """Return a hit for people: where it is from, the first lines of its text, and what it scores for what."""
    metadata = item.metadata
    score = "" if item.score is None else f"{item.score:.2f}"
    places = [str(metadata[name]) for name in _PROVENANCE if metadata.get(name)]
    kind = str(metadata.get("kind", ""))
    line = metadata.get("line_start")
    source = str(metadata.get("source", "")) + ("" if line is None else f":{line}")
    lines = [f"{number}. {'  '.join(printable(part) for part in (kind, *places, source, score) if part)}"]
    lines += _wrapped(item.text, width)
    if item.legs is not None:
        lines.append("   " + ", ".join(f"{name} {value:+.2f}" for name, value in item.legs.items()))
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> list[str]:
    """Return the first lines of a text, wrapped and indented."""
    found = [
        wrapped
        for line in text.split("\n")
        for wrapped in textwrap.wrap(printable(line), max(width, 20), initial_indent="   ", subsequent_indent="   ")
    ]
    return found if len(found) <= _LINES else [*found[: _LINES - 1], "   ..."]
