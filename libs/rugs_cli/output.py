"""What commands print: JSON for programs, tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, in a shape that stays.")]


class CommandError(Exception):
    """A command cannot do what it was asked: one line that says why, and what to do."""


def print_json(content: object) -> None:
    """Print one JSON document on a line of its own."""
    print(json.dumps(content, ensure_ascii=False, default=str), flush=True)


def print_table(rows: Sequence[Sequence[Any]], header: Sequence[str] | None = None) -> None:
    """Print columns, each as wide as it needs; numbers to the right."""
    texts = [[_text(value) for value in row] for row in ([header] if header else []) + list(rows)]
    if not texts:
        return
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))]
    for place, row in enumerate(texts):
        values = rows[place - bool(header)] if place or not header else None
        cells = (
            text.rjust(width) if values is not None and _is_number(values[column]) else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip())
    sys.stdout.flush()


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return how many there are, for people: ``1 file``, ``1,013 files``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def human_bytes(count: float) -> str:
    """Return a size for people: ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def human_seconds(seconds: float) -> str:
    """Return a duration for people: ``2h 05m``."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}d {hours:02}h"
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {whole % 60:02}s" if minutes else f"{whole}s"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
