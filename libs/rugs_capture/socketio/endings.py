"""Why a connection ended or was refused, in plain words."""

from __future__ import annotations

import email.utils
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from rugs_core.secrets import mask_secrets

CLOSE_CODES: Final[Mapping[int, str]] = {
    1000: "normal closure",
    1001: "the server is going away",
    1002: "protocol error",
    1003: "unacceptable data",
    1005: "no reason given",
    1006: "connection lost without a close frame",
    1007: "text that is not UTF-8",
    1008: "policy violation",
    1009: "message too large",
    1010: "missing extension",
    1011: "internal error of the server",
    1012: "the server restarts",
    1013: "the server is overloaded, try again later",
    1014: "bad gateway",
    1015: "TLS failure",
    3000: "unauthorized",
    3003: "forbidden",
    3008: "timeout",
}
"""The registered WebSocket close codes (RFC 6455 and IANA)."""
_REFUSING_CODES: Final = frozenset({1003, 1008, 1010, 3000, 3003})
_PRIVATE_CODES: Final = range(4000, 5000)
_LONGEST_QUOTE: Final = 200
LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds; who asks for more is asked again after these."""


def quoted(said: str) -> str:
    """Return what the other side says so that it can be shown: one line, no control characters, no secrets."""
    line = " ".join("".join(each if each.isprintable() else " " for each in said[: 4 * _LONGEST_QUOTE]).split())
    line = mask_secrets(line)
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"


def close_words(code: int) -> str:
    """Return a WebSocket close code in words, with its number."""
    return f"{CLOSE_CODES.get(code, 'close code')} ({code})"


def closed_by_server(code: int, reason: str) -> str:
    """Return why a server says that it closed a WebSocket."""
    return f"the server closed the connection: {close_words(code)}{f': {quoted(reason)}' if reason else ''}"


def refuses(code: int) -> bool:
    """Return whether a server that closes with this code does not want the client, rather than goes away."""
    return code in _REFUSING_CODES or code in _PRIVATE_CODES


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return how many seconds an HTTP answer asks to wait: a number, or a date; None if it does not ask.

    A date is compared with the answer's own `Date`, as the server's clock may differ from ours.
    """
    asked = headers.get("Retry-After", "").strip()
    if not asked:
        return None
    try:
        seconds = float(asked)
    except ValueError:
        until = _date(asked)
        if until is None:
            return None
        seconds = (until - (_date(headers.get("Date", "")) or now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if math.isfinite(seconds) else None


def _date(text: str) -> datetime | None:
    try:
        found = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
