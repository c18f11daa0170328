"""What commands print: JSON for programs, tables for people."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from rugs_core.errors import RugsError

_WIDEST: Final = 10_000
"""Columns that no table needs."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, in a shape that stays.")]


class CommandError(RugsError):
    """A command cannot do what it was asked: one line that says why, and what to do."""


def print_json(content: object) -> None:
    """Print one JSON document on a line of its own."""
    print(json.dumps(content, ensure_ascii=False, default=str), flush=True)


def print_table(rows: Sequence[Sequence[Any]], header: Sequence[str] | None = None) -> None:
    """Print columns, each as wide as it needs; numbers to the right.

    Where the terminal is too narrow, the widest texts go on in the lines below; nothing is cut. In a pipe a table is
    as wide as `COLUMNS` says, or as it needs.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows and not header:
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDEST
    table = Table(box=None, show_header=header is not None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for place in range(len(header or rows[0])):
        numbers = any(_is_number(row[place]) for row in rows)
        title = Text(header[place] if header else "")
        table.add_column(title, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(_text(value))) for value in row))
    drawn = io.StringIO()
    Console(file=drawn, width=width, color_system=None).print(table)
    print("\n".join(line.rstrip() for line in drawn.getvalue().splitlines()), flush=True)


def printable(text: str) -> str:
    """Return a text as a terminal may show it: what would control the terminal becomes ``\\x1b``, ``\\n`` ..."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


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
