"""Which fields people need first: those that many events carry, the outer ones before the inner ones."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from rugs_discovery.paths import Step
from rugs_discovery.summary import DATA, Event, Field, Summary

MOST: Final = 40
_SCALARS: Final = frozenset({"null", "boolean", "integer", "number", "string"})


def main_fields(summary: Summary, most: int = MOST) -> dict[str, list[Field]]:
    """Return paths below the payload whose values are no objects or arrays, each with its fields.

    The fields of a path are of several events, the most frequent one first.

    Args:
        most: paths.
    """
    weight: defaultdict[str, float] = defaultdict(float)
    by_path: defaultdict[str, list[Field]] = defaultdict(list)
    for event in summary.events.values():
        reached = reach(event)
        for field in event.fields.values():
            if field.types.keys() <= _SCALARS and field.steps != (DATA,):
                weight[field.path] += reached[field.path] / len(field.steps)
                by_path[field.path].append(field)
    first = sorted(by_path, key=lambda path: (-weight[path], path))[:most]
    return {path: sorted(by_path[path], key=lambda field: (-field.count, field.event)) for path in first}


def reach(event: Event) -> dict[str, float]:
    """Return for how many of its events, about, each field is there, by path."""
    found: dict[tuple[Step, ...], tuple[float, int]] = {}
    for field in event.all_fields:
        around, values = found.get(field.steps[:-1], (float(event.count), event.count))
        share = field.count / values if isinstance(field.steps[-1], str) else 1.0
        found[field.steps] = around * share, field.count
    return {field.path: found[field.steps][0] for field in event.all_fields}
