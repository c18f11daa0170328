"""What waits in the spools of a data folder: captured, and not yet in the stream or the lake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rugs_cli.output import counted

if TYPE_CHECKING:
    from rugs_runtime.settings import Settings


def spools_of(settings: Settings, answers: Iterable[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return the spools with events that wait: `path`, `events`, `bytes`, `in_use`, `error`.

    The programs that use a spool alone can count it: `answers` are what they say of their sources. Of one that does
    not answer, `events` is None.
    """
    from rugs_client.waiting import waiting_in

    folder = settings.state_dir / "spool"
    by_source = {str(source["name"]): _waiting(source) for answer in answers for source in answer.get("sources", ())}
    found = []
    for spool in waiting_in(folder):
        events = by_source.get(spool.path.parent.name) if spool.in_use else spool.events
        if events != 0:
            found.append({**spool._asdict(), "path": str(spool.path), "events": events})
    return found


def _waiting(source: Mapping[str, Any]) -> int:
    bus = source["bus"]
    return max(0, int(bus["accepted"]) - int(bus["sent"]) - int(bus["refused"]))


def spool_lines(spools: Iterable[Mapping[str, Any]], *, running: bool) -> list[str]:
    """Say what waits, a line for each folder of spools."""
    lines = []
    for folder in sorted({Path(spool["path"]).parent for spool in spools}):
        here = [spool for spool in spools if Path(spool["path"]).parent == folder]
        count = sum(spool["events"] or 0 for spool in here)
        when = "as soon as the broker takes them" if running else "when the stack next runs (`rugs up`)"
        if count:
            verb = "waits" if count == 1 else "wait"
            lines.append(f"{counted(count, 'event')} {verb} in {folder}: they reach the lake {when}")
        elif any(spool["in_use"] for spool in here):
            lines.append(f"events may wait in {folder}: a program that is running uses it")
        for spool in here:
            if spool["error"]:
                lines.append(f"events may wait in {spool['path']}, which cannot be read: {spool['error']}")
    return lines
