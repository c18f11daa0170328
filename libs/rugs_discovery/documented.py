"""Read the folder of documents as the proof needs it: what it says of each event, and the schemas that it has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from rugs_core.errors import RugsError
from rugs_discovery.messages import RECORD
from rugs_discovery.nodes import Place
from rugs_discovery.paths import ANY, ITEM, Step, join, split
from rugs_discovery.schema import file_name
from rugs_discovery.summary import ARGUMENTS, DATA
from rugs_discovery.wording import place_text

_KINDS: Final = ("strict", "open")


class DocumentsError(RugsError, ValueError):
    """A folder has no documents of discovery that can be read."""


@dataclass(eq=False)
class Documented:
    """What the documents say of the values at one path.

    Attributes:
        path: empty for the root of a record.
        types: values by JSON type; empty where the documents do not have the path.
        truncated: objects and arrays that were not entered.
        below: by key, `ITEM`, or `ANY` for a map.
    """

    path: str = ""
    types: Mapping[str, int] = field(default_factory=dict)
    truncated: int = 0
    below: dict[Step, Documented] = field(default_factory=dict)

    def at(self, step: Step) -> Documented | None:
        """Return what is said of the values of a key, or of elements; None if nothing is."""
        if step is not ITEM and ANY in self.below:
            return self.below[ANY]
        return self.below.get(step)

    def inside(self, steps: Iterable[Step]) -> Documented | None:
        """Return what is said of containers whose members are documented; None if nothing is, or not of the members."""
        found: Documented | None = self
        for step in steps:
            found = found.at(step) if found is not None and not found.truncated else None
        return None if found is None or found.truncated else found

    def all(self) -> Iterator[Documented]:
        """Give this path and those below it, in the documents' order, as far as the documents have them."""
        waiting = [self]
        while waiting:
            each = waiting.pop()
            if each.types:
                yield each
            waiting += reversed(each.below.values())


@dataclass(eq=False)
class DocumentedEvent:
    """What the documents say of one event.

    Attributes:
        payload: of a record, the whole object.
        not_json: events that JSON Schema cannot check.
        faults: places of the first of these.
        validators: of the schemas that could be read, by kind.
        problems: of the schemas.
    """

    key: str
    count: int
    payload: Documented
    arguments: Documented
    not_json: int
    faults: frozenset[str]
    validators: Mapping[str, jsonschema_rs.Draft202012Validator]
    problems: tuple[str, ...]

    @property
    def fields(self) -> Iterator[Documented]:
        """The documented paths of the payload and of further arguments."""
        yield from self.payload.all()
        yield from self.arguments.all()


@dataclass(eq=False)
class Documents:
    """A folder of documents.

    Attributes:
        errors: lines that are no event.
        files: what the manifest says of each file, by its path; None where it lists no files.
    """

    events: Mapping[str, DocumentedEvent]
    lines: int
    errors: int
    files: Mapping[str, Mapping[str, Any]] | None
    unexpected_schemas: tuple[str, ...]


def read_documents(folder: Path) -> Documents:
    """Return what a folder of documents says.

    Raises:
        DocumentsError: if it has none, or they cannot be read.
    """
    fields = _load(folder / "fields.json")
    manifest = _load(folder / "manifest.json")
    try:
        events = {key: _event(folder, key, said) for key, said in fields["events"].items()}
        listed = manifest.get("files")
        files = None if listed is None else {str(each["file"]): each for each in listed}
        lines, errors = int(fields["lines"]), sum(fields["errors"].values())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DocumentsError(f"{folder}: not the documents of a discovery ({error!r}); build them again") from error
    expected = {_schema_name(key, kind) for key in events for kind in _KINDS}
    found = {path.name for path in (folder / "schemas").glob("*")}
    return Documents(events, lines, errors, files, tuple(sorted(found - expected)))


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_bytes())
    except OSError as error:
        raise DocumentsError(f"{path}: {error.strerror}; build the documents first") from error
    except (ValueError, RecursionError) as error:
        raise DocumentsError(f"{path}: not JSON ({error}); build the documents again") from error
    if not isinstance(loaded, dict):
        raise DocumentsError(f"{path}: not a JSON object; build the documents again")
    return loaded


def _event(folder: Path, key: str, said: Mapping[str, Any]) -> DocumentedEvent:
    validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
    problems = []
    for kind in _KINDS:
        name = _schema_name(key, kind)
        try:
            schema = json.loads((folder / "schemas" / name).read_bytes())
            validators[kind] = jsonschema_rs.Draft202012Validator(schema, mask="the value")
        except OSError:
            problems.append(f"schema {name} is missing")
        except (ValueError, RecursionError) as error:
            problems.append(f"schema {name} is no JSON Schema: {_first_line(error)}")
    root = () if key.startswith(RECORD) else (DATA,)
    return DocumentedEvent(
        key,
        int(said["count"]),
        _tree(said["fields"], root),
        _tree(said.get("arguments", {}), (ARGUMENTS,)),
        sum(said["not_json"].values()),
        frozenset(map(_place, said["faults"])),
        validators,
        tuple(problems),
    )


def _schema_name(key: str, kind: str) -> str:
    return f"{file_name(key)}.{kind}.json"


def _place(said: Mapping[str, Any]) -> str:
    return place_text(Place(0, said["file"], said["line"]) if "file" in said else Place(0, said["id"]))


def _tree(fields: Mapping[str, Any], root: tuple[Step, ...]) -> Documented:
    """Return what is said of the values at a root, and below it."""
    tree = Documented(join(root))
    for path, said in fields.items():
        at, steps = tree, split(path)
        if steps[: len(root)] != root:
            raise ValueError(f"{path} is not below {tree.path}")
        for end in range(len(root) + 1, len(steps) + 1):
            at = at.below.setdefault(steps[end - 1], Documented(join(steps[:end])))
        at.types, at.truncated = dict(said["types"]), int(said.get("truncated", 0))
    return tree


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")
