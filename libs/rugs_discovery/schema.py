"""JSON Schema 2020-12 of an event: a strict one that allows what was observed, and an open one that says only types.

The strict schema lists all keys, requires those that every object had, and lists all strings of a field where they are
few. Neither schema has a least or a greatest number: a range is what was seen until now, no rule of the protocol, and
the next game would break it; `fields.json` has the ranges. `format` describes a string and rejects none, as 2020-12
has it.

Schemas are of the payload. A key that holds half a surrogate pair is left out: no event that has it can be checked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import jsonschema_rs

from rugs_discovery.meanings import Meaning, Meanings
from rugs_discovery.paths import ANY, ITEM, Step
from rugs_discovery.sample import LONGEST, Scalar
from rugs_discovery.summary import DATA, Event, Field

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NO_MEANINGS: Final = Meanings()
_FORMATS: Final = {"date": "date", "timestamp": "date-time", "url": "uri", "uuid": "uuid"}
"""What JSON Schema calls formats of ours."""
_WHOLE_NUMBERS: Final = ("keys are whole numbers", "key is a whole number")
_WHOLE_NUMBER: Final = r"^-?\p{Nd}{1,64}$"
_LARGE: Final = 1 << 63
_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9_-]")
_LONGEST_NAME: Final = 160
_BEGIN: Final = 80


def strict_schema(event: Event, meanings: Meanings = _NO_MEANINGS) -> dict[str, Any]:
    """Return the schema that allows what was observed of an event, and nothing else."""
    return _Schema(event, meanings, is_strict=True).document()


def open_schema(event: Event, meanings: Meanings = _NO_MEANINGS) -> dict[str, Any]:
    """Return the schema that allows of an event whatever does not contradict the observed types."""
    return _Schema(event, meanings, is_strict=False).document()


def file_name(key: str) -> str:
    """Return what files about an event are called, without a suffix: `standard~2FnewTrade`.

    Letters, digits, `_` and `-` stay; any other byte of the key's UTF-8 is `~` and two hexadecimal digits, so the name
    can be read back, is safe as a file and in a URL, and differs from that of every other key. An empty key is `~`. A
    name that would be too long for a file is cut; `~~` and a hash of the key follow: the schema's title has the key.
    """
    whole = key.encode(errors="surrogatepass")
    name = _UNSAFE.sub(lambda found: b"~%02X" % ord(found[0]), whole).decode() or "~"
    return name if len(name) <= _LONGEST_NAME else f"{name[:_BEGIN]}~~{sha256(whole).hexdigest()[:32]}"


@dataclass(eq=False)
class _Branch:
    """A field and those below it; the root of a record is no field."""

    known: Field | None = None
    below: dict[Step, _Branch] = field(default_factory=dict)

    @property
    def keys(self) -> Iterator[tuple[str, _Branch]]:
        """The fields of an object that is no map."""
        return ((step, branch) for step, branch in self.below.items() if isinstance(step, str) and _is_text(step))


class _Schema:
    """Writes the schema of one event."""

    def __init__(self, event: Event, meanings: Meanings, *, is_strict: bool) -> None:
        self._event = event
        self._meanings = meanings
        self._is_strict = is_strict

    def document(self) -> dict[str, Any]:
        kind = "strict" if self._is_strict else "open"
        key = self._event.key
        title = key.encode(errors="backslashreplace").decode()
        head = {"$schema": DIALECT, "$id": f"{file_name(key)}.{kind}.json", "title": title}
        tree = _tree(self._event.fields)
        if self._event.kind != "record":
            root = tree.below.get(DATA)
            return head | ({"not": {}} if root is None else self._value(root) | head)
        said = _described(self._meanings.of_event(key))
        return {**head, **said, "type": "object", **self._object(tree), "x-frequency": self._event.count}

    def _value(self, branch: _Branch) -> dict[str, Any]:
        """Return the schema of the values of a field."""
        known = branch.known
        if known is None:  # a tree without gaps has none
            return {}
        said: dict[str, Any] = {"title": known.path}
        said |= _described(self._meanings.of_field(self._event.key, known.path))
        said["type"] = _types(known.types)
        if self._is_strict and not self._event.private:  # what strings of private events are is not known
            said |= _strings(known)
        if "object" in known.types and not known.truncated:
            said |= self._object(branch)
        if "array" in known.types and not known.truncated:
            said |= self._array(branch)
        if "enum" not in said and (examples := _examples(known)):
            said["examples"] = examples
        return {**said, "x-frequency": known.count}

    def _object(self, branch: _Branch) -> dict[str, Any]:
        anything = branch.below.get(ANY)
        if anything is not None:
            evidence = branch.known.map_evidence if branch.known is not None else None
            names = {"propertyNames": {"pattern": _WHOLE_NUMBER}} if (evidence or "").endswith(_WHOLE_NUMBERS) else {}
            return {"additionalProperties": self._value(anything), **(names if self._is_strict else {})}
        said: dict[str, Any] = {}
        if properties := {key: self._value(each) for key, each in branch.keys}:
            said["properties"] = properties
        if self._is_strict:
            if required := [key for key, each in branch.keys if _is_always_there(each.known)]:
                said["required"] = required
            said["additionalProperties"] = False
        return said

    def _array(self, branch: _Branch) -> dict[str, Any]:
        items = branch.below.get(ITEM)
        if items is not None:
            return {"items": self._value(items)}
        return {"items": False} if self._is_strict else {}


def _tree(fields: Mapping[str, Field]) -> _Branch:
    root = _Branch()
    for each in fields.values():
        branch = root
        for step in each.steps:
            branch = branch.below.setdefault(step, _Branch())
        branch.known = each
    return root


def _types(types: Mapping[str, int]) -> str | list[str]:
    """Return types as JSON Schema has them: a whole number is a `number`, too."""
    names = [name for name in types if name != "integer" or "number" not in types]
    return names[0] if len(names) == 1 else names


def _strings(known: Field) -> dict[str, Any]:
    """Return what is known of the strings of a field."""
    if known.enum is not None and {*known.types} <= {"string", "null"} and all(map(_is_whole, known.enum)):
        return {"enum": [*known.enum, *([None] if "null" in known.types else [])]}
    name = _FORMATS.get(known.formats[0]) if len(known.formats) == 1 else None
    strings = [sample for sample in known.samples if isinstance(sample, str)]
    if name is None or known.is_personal or not strings or not all(_is_of(name, text) for text in strings):
        return {}
    return {"format": name}


def _is_of(format_name: str, text: str) -> bool:
    """Return whether a string has one of the formats of JSON Schema."""
    return _is_text(text) and jsonschema_rs.is_valid({"format": format_name}, text, validate_formats=True)


def _examples(known: Field) -> Collection[Scalar]:
    return [] if known.is_personal else [sample for sample in known.samples if _can_be_written(sample)]


def _can_be_written(sample: Scalar) -> bool:
    return _is_text(sample) if isinstance(sample, str) else -_LARGE <= sample < _LARGE


def _is_always_there(known: Field | None) -> bool:
    return known is not None and known.count == known.parents


def _is_whole(text: str) -> bool:
    """Return whether a sampled string was not cut, and can be written."""
    return len(text) <= LONGEST and _is_text(text)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _described(meaning: Meaning | None) -> dict[str, str]:
    return {} if meaning is None else {"description": meaning.text}
