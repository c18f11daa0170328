"""Periods, as they are typed: a day, or a time. All are UTC unless they say otherwise."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from rugs_core.time import from_us, to_us

From = Annotated[
    str | None, typer.Option("--from", metavar="DATE", help="First day, or time in ISO 8601; UTC.", show_default=False)
]
To = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="Last day, included, or a time.", show_default=False)
]


def day(text: str | None) -> dt.date | None:
    """Return the day that a text names, or that its time falls on; None for None.

    Raises:
        typer.BadParameter: if it is neither.
    """
    return None if text is None else _parsed(text)[0].date()


def begin_us(text: str) -> int:
    """Return where a period begins that is said to begin so, microseconds since the epoch.

    Raises:
        typer.BadParameter: if it is neither a day nor a time.
    """
    return to_us(_parsed(text)[0])


def end_us(text: str) -> int:
    """Return where a period ends that is said to end so: a day is included.

    Raises:
        typer.BadParameter: if it is neither a day nor a time.
    """
    at, is_day = _parsed(text)
    return to_us(at + dt.timedelta(days=1) if is_day else at)


def utc(micros: int) -> str:
    """Return a time for people."""
    return f"{from_us(micros):%F %T}"


def iso(micros: int) -> str:
    """Return a time for programs."""
    return from_us(micros).isoformat()


def _parsed(text: str) -> tuple[dt.datetime, bool]:
    """Return a time, aware, and whether it was a day that was said."""
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"neither a day nor a time in ISO 8601: {text}") from None
    is_day = len(text) <= len("2026-06-01")
    try:
        return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).astimezone(dt.UTC), is_day
    except OverflowError:
        raise typer.BadParameter(f"out of range: {text}") from None
