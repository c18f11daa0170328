"""An example of an event's payload, composed of sampled values: each field once, each array with one element.

Personal values are masked as in the summary. A real event has only a part of the fields.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from rugs_discovery.messages import RECORD
from rugs_discovery.paths import ANY, ITEM, Step
from rugs_discovery.sample import Scalar
from rugs_discovery.summary import DATA, Event

_WITHOUT_SAMPLE: Final[dict[str, Any]] = {"string": "...", "integer": 0, "number": 0, "boolean": False, "null": None}
_ANY_KEY: Final = "..."


def example_of(event: Event) -> Any:
    """Return an example of an event's payload; of a record, of the whole object."""
    fields = {field.steps: field for field in event.fields.values()}
    children: defaultdict[tuple[Step, ...], list[Step]] = defaultdict(list)
    for steps in fields:
        children[steps[:-1]].append(steps[-1])

    def value(steps: tuple[Step, ...]) -> Any:
        field = fields[steps]
        kind = next((each for each in field.types if each != "null"), "null")
        if kind == "object":
            return members(steps)
        if kind == "array":
            return [value((*steps, ITEM))] if ITEM in children[steps] else []
        return next((sample for sample in field.samples if _is(sample, kind)), _WITHOUT_SAMPLE[kind])

    def members(steps: tuple[Step, ...]) -> dict[str, Any]:
        found = {step: value((*steps, step)) for step in children[steps] if isinstance(step, str)}
        if ANY in children[steps]:
            keys = fields[steps].keys if steps in fields else ()
            found[next(iter(keys), _ANY_KEY)] = value((*steps, ANY))
        return found

    if event.key.startswith(RECORD):
        return members(())
    return value((DATA,)) if (DATA,) in fields else None


def _is(sample: Scalar, kind: str) -> bool:
    if kind == "string":
        return isinstance(sample, str)
    return not isinstance(sample, str) and (kind == "number" or isinstance(sample, int))
