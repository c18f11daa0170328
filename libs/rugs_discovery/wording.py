"""One-line texts for people: values, numbers, shares, and what is known of a field. They hold for every key and value.

Nothing here is Markdown, and nothing here can control a terminal: whatever is not printable becomes an escape.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from rugs_discovery.documents import time_text
from rugs_discovery.formats import TEXT
from rugs_discovery.meanings import OBSERVED, Meaning
from rugs_discovery.nodes import Place
from rugs_discovery.paths import ITEM, join
from rugs_discovery.sample import Scalar
from rugs_discovery.summary import Field

_SIGNIFICANT: Final = 6
_LONGEST: Final = 40
"""Characters of a value in a text about a field."""
_PLAIN_BELOW: Final = 1e15
_EARLIEST_MS: Final = 1_400_000_000_000  # 2014
_LATEST_MS: Final = 2_400_000_000_000  # 2046
"""Whole numbers between them are likely to be times in milliseconds since 1970."""
_NUMBERS: Final = frozenset({"integer", "number"})


def printable(text: str) -> str:
    r"""Return a text on one line: what is not printable, half a surrogate pair too, becomes ``\n``, ``\x1b``, ..."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters; a longer one is cut, and `...` follows."""
    return text if len(text) <= most else text[: max(most - 3, 0)] + "..."


def name_text(key: str) -> str:
    """Return the key of an event; an empty one as two quotation marks."""
    return printable(key) or '""'


def literal(value: Scalar, most: int = _LONGEST) -> str:
    """Return a value as JSON writes it: of a long one the beginning, a fraction to six significant digits."""
    if isinstance(value, str):
        return printable(json.dumps(shortened(value, most), ensure_ascii=False))
    if isinstance(value, float):
        value = float(f"{value:.{_SIGNIFICANT}g}")
    return shortened(json.dumps(value), most)


def number_text(value: float) -> str:
    """Return a number with thousands separators; a fraction to six significant digits, of a long one the beginning."""
    if isinstance(value, int):
        return shortened(f"{value:,}", _LONGEST)
    if abs(value) >= _PLAIN_BELOW:
        return f"{value:.{_SIGNIFICANT}g}"
    rounded = value if abs(value) >= 10**_SIGNIFICANT else float(f"{value:.{_SIGNIFICANT}g}")
    return f"{int(value):,}" if value.is_integer() else f"{rounded:,}".removesuffix(".0")


def counted(count: int, noun: str) -> str:
    """Return how many there are: `1 file`, `1,013 files`."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def share_text(part: int, whole: int) -> str:
    """Return a share in percent; only none is 0%, and only all is 100%."""
    if part in (0, whole):
        return "100%" if part else "0%"
    percent = 100 * part / whole
    if percent < 0.1:
        return "<0.1%"
    return ">99.9%" if percent > 99.9 else f"{percent:.1f}".removesuffix(".0") + "%"


def place_text(place: Place) -> str:
    """Return where an event is: `FILE:LINE`, or its id."""
    return f"{printable(place.name)}:{place.line}" if place.line else printable(place.name)


def seen_text(place: Place) -> str:
    """Return when and where an event is."""
    return f"{time_text(place.ts)}, {place_text(place)}" if place.ts else place_text(place)


def merged_types(types: Mapping[str, int]) -> dict[str, int]:
    """Return counts by JSON type, the most frequent first; whole numbers count as `number` if others occur.

    The feed writes one field as `1` and as `1.0`: that is no drift.
    """
    merged: dict[str, int] = {}
    for name, count in types.items():
        kind = "number" if types.keys() >= _NUMBERS and name in _NUMBERS else name
        merged[kind] = merged.get(kind, 0) + count
    return dict(sorted(merged.items(), key=lambda item: (-item[1], item[0])))


def union_text(types: Mapping[str, int]) -> str:
    """Return a type union: `number`, `string or null`."""
    return " or ".join(merged_types(types))


def shares_text(types: Mapping[str, int]) -> str:
    """Return a type union with the share of each type."""
    merged = merged_types(types)
    if len(merged) == 1:
        return next(iter(merged))
    total = sum(merged.values())
    return ", ".join(f"{name} {share_text(count, total)}" for name, count in merged.items())


def is_drifting(types: Mapping[str, int]) -> bool:
    """Return whether values have two types or more beside null."""
    return len(merged_types(types).keys() - {"null"}) > 1


def presence_text(field: Field, mark: Callable[[str], str] = printable) -> str:
    """Return how often a field is there: `54% of the events`, `61% of data.leaderboard[]`, `3,981 elements`.

    Args:
        mark: makes a path stand out.
    """
    if not field.parents:
        return counted(field.count, "element" if field.steps[-1] is ITEM else "value")
    owner = join(field.steps[:-1])
    return f"{share_text(field.count, field.parents)} of {mark(owner) if owner else 'the events'}"


def range_text(low: float, high: float) -> str:
    """Return the least and the greatest of numbers, with their dates where they can be times in ms since 1970."""
    text = f"always {number_text(low)}" if low == high else f"{number_text(low)} to {number_text(high)}"
    if not _EARLIEST_MS <= low <= high <= _LATEST_MS:
        return text
    dates = dict.fromkeys(time_text(int(ms) * 1000)[:16] + "Z" for ms in (low, high))
    return f"{text} (in ms: {' to '.join(dates)})"


def lengths_text(lengths: tuple[int, int]) -> str:
    """Return how many elements arrays have."""
    shortest, longest = lengths
    if shortest == longest:
        return counted(longest, "element")
    return f"{shortest:,} to {counted(longest, 'element')}"


def values_text(field: Field, mark: Callable[[str], str] = str, most: int = 2) -> str:
    """Return what is known of the values of a field: lengths, keys of a map, range, all strings or some of them.

    Args:
        mark: makes a value stand out.
        most: values that are shown, of those that are examples.
    """
    parts = []
    if field.map_evidence is not None and field.keys:
        parts.append("keys such as " + ", ".join(mark(literal(key)) for key in field.keys[:most]))
    if field.lengths is not None:
        parts.append(lengths_text(field.lengths))
    if field.low is not None and field.high is not None:
        parts.append(range_text(field.low, field.high))
    if field.enum is not None:
        parts.append(", ".join(mark(literal(value)) for value in field.enum))
    elif field.types.get("string"):
        parts.append(", ".join(name for name in field.formats if name != TEXT))
        shown = [mark(literal(value)) for value in field.samples if isinstance(value, str)][:most]
        parts.append("such as " + ", ".join(shown) if shown else "")
    return joined(parts)


def meaning_text(meaning: Meaning) -> str:
    """Return a meaning with its unit, its note, and its status unless it was observed."""
    status = "" if meaning.status == OBSERVED else meaning.status.capitalize()
    parts = [
        meaning.text,
        meaning.unit and f"Unit: {meaning.unit}.",
        status and f"{status}{':' if meaning.note else '.'}",
    ]
    return printable(" ".join(part for part in (*parts, meaning.note) if part))


def joined(parts: Iterable[str]) -> str:
    """Return the parts that are not empty, with semicolons."""
    return "; ".join(part for part in parts if part)
