"""Read meanings from YAML: the project's own, and the notes file of a user.

```yaml
events:
  gameStateUpdate: {meaning: The state of the game., status: observed}
fields:
  data.price:
    - {meaning: The price., unit: multiple of the start price, status: observed, events: [gameStateUpdate]}
maps: [data.balances, "playerUpdate:data.keys"]   # objects whose keys are data
objects: [data.config]                            # objects that are no maps
```

Every scalar is text, whatever YAML would make of it: `on`, `null` and `123` are keys of feeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import yaml

from rugs_core.errors import RugsError
from rugs_discovery.maps import Pins
from rugs_discovery.meanings import DOCUMENTED, STATUSES, Meaning, Meanings
from rugs_discovery.paths import split

SHIPPED: Final = "meanings.yaml"
"""The project's own file, beside this module."""

_OF_A_FILE: Final = ("events", "fields", "maps", "objects")
_OF_AN_EVENT: Final = ("meaning", "status", "note")
_OF_A_FIELD: Final = ("meaning", "unit", "status", "note", "events")
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotesError(RugsError):
    """A file of meanings cannot be used; the message says where and why, and what to do."""


@cache
def shipped_meanings() -> Meanings:
    """Return the meanings that come with the project."""
    return parse_notes(files(__package__).joinpath(SHIPPED).read_text(encoding="utf-8"), SHIPPED)


def load_meanings(notes: Path | None = None) -> Meanings:
    """Return the meanings that come with the project, and over them those of a notes file, if there is one.

    Raises:
        NotesError: if the notes file cannot be read, or is no notes file.
    """
    if notes is None:
        return shipped_meanings()
    try:
        text = notes.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return shipped_meanings()
    except OSError as error:
        raise NotesError(f"{notes}: cannot be read: {error.strerror or error}; make it readable, or move it") from error
    except UnicodeDecodeError as error:
        raise NotesError(f"{notes}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    return parse_notes(text, str(notes)).over(shipped_meanings())


def parse_notes(text: str, source: str) -> Meanings:
    """Return the meanings of a YAML text.

    Args:
        source: the name of its file, for meanings and errors.

    Raises:
        NotesError: if it is no such text.
    """
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise NotesError(f"{source}, line {line}: not YAML: {error.problem or error.context}; correct it") from None
    except yaml.YAMLError as error:
        raise NotesError(f"{source}: not YAML: {' '.join(str(error).split())}; correct it") from None
    except RecursionError:
        raise NotesError(f"{source}: nested too deeply; keep to events, fields, maps and objects") from None
    return Meanings() if root is None else _Reader(source).meanings(root)


class _Reader:
    """Turns the nodes of one YAML document into meanings; an error names the line."""

    def __init__(self, source: str) -> None:
        self._source = source

    def meanings(self, root: yaml.Node) -> Meanings:
        sections = self._record(root, "the file", _OF_A_FILE)
        events = {
            key: self._meaning(node, f"event {key!r}", _OF_AN_EVENT)
            for key, _, node in self._pairs(sections.get("events"), "events")
        }
        fields: dict[str, Sequence[Meaning]] = {}
        for path, key, node in self._pairs(sections.get("fields"), "fields"):
            self._check_path(path, key)
            items = node.value if isinstance(node, yaml.SequenceNode) else [node]
            fields[path] = [self._meaning(item, f"path {path!r}", _OF_A_FIELD) for item in items]
        pins = Pins(*(frozenset(self._texts(sections.get(name), name)) for name in ("maps", "objects")))
        if both := sorted(set(pins.maps) & set(pins.objects)):
            raise self._error(root, f"{both[0]!r} is in maps and in objects; remove it from one of them")
        return Meanings(events, fields, pins)

    def _meaning(self, node: yaml.Node, of: str, keys: tuple[str, ...]) -> Meaning:
        said = self._record(node, of, keys)
        if "meaning" not in said:
            raise self._error(node, f"{of} has no meaning; add `meaning: ...`, one sentence")
        text, status, unit, note = (
            " ".join(self._text(said[key], f"{key} of {of}").split()) if key in said else None
            for key in ("meaning", "status", "unit", "note")
        )
        assert text is not None  # noqa: S101
        if status not in (None, *STATUSES):
            raise self._error(said["status"], f"{of} has the status {status!r}; use one of {', '.join(STATUSES)}")
        events = self._texts(said.get("events"), f"events of {of}")
        return Meaning(text, self._source, status or DOCUMENTED, unit, note, events)

    def _record(self, node: yaml.Node, what: str, keys: tuple[str, ...]) -> dict[str, yaml.Node]:
        found = {}
        for name, key, value in self._pairs(node, what):
            if name not in keys:
                raise self._error(key, f"{what} cannot have {name!r}; use {', '.join(keys)}")
            found[name] = value
        return found

    def _pairs(self, node: yaml.Node | None, what: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Give the keys of a mapping, as texts and as nodes, and their values; nothing for a value left empty."""
        if node is None or _is_empty(node):
            return
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, f"{what} must be a mapping; write `key: value`, one a line")
        seen = set()
        for key, value in node.value:
            name = self._text(key, f"a key of {what}", may_be_empty=True)
            if name in seen:
                raise self._error(key, f"{what} has {name!r} twice; remove one of them")
            seen.add(name)
            yield name, key, value

    def _texts(self, node: yaml.Node | None, what: str) -> tuple[str, ...]:
        if node is None or _is_empty(node):
            return ()
        if not isinstance(node, yaml.SequenceNode):
            raise self._error(node, f"{what} must be a list; write `[...]`")
        return tuple(self._text(each, f"an item of {what}") for each in node.value)

    def _text(self, node: yaml.Node, what: str, *, may_be_empty: bool = False) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, f"{what} must be text; put it in quotation marks")
        text: str = node.value
        if not may_be_empty and not text.strip():
            raise self._error(node, f"{what} is empty; write it, or remove the line")
        return text

    def _check_path(self, path: str, node: yaml.Node) -> None:
        try:
            split(path)
        except ValueError as error:
            raise self._error(node, f"{error}; copy the path from `rugs field`") from None

    def _error(self, node: yaml.Node, problem: str) -> NotesError:
        return NotesError(f"{self._source}, line {node.start_mark.line + 1}: {problem}")


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.value and not node.style
