"""Other words for the identifiers of the feed, and for shapes of curves: what a person may call them.

The words are in `synonyms.yaml` beside this module. They are searched, and neither embedded nor shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import yaml

_FILE: Final = "synonyms.yaml"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Table = Mapping[str, Mapping[str, str]]


def of_event(key: str, way: str = "") -> str:
    """Return other words for an event; empty where there are none.

    Args:
        way: who sends it to whom: see `rugs_index.kinds.Way`.
    """
    table = _table()
    return _joined([table["events"].get(key, ""), table["ways"].get(way, "")])


def of_field(event_key: str, keys: Sequence[str]) -> str:
    """Return other words for a field: for its last key, for the keys before, and for what its event is about.

    Args:
        keys: of its path, the last one at the end.
    """
    table = _table()
    last = [table["keys"].get(key, "") for key in keys[-1:]]
    around = [table["around"].get(key, "") for key in keys[:-1]]
    return _joined([*last, *around, table["of_event"].get(event_key, "")])


def of_shape(name: str) -> str:
    """Return other words for the shape of a price curve: see `rugs_index.chunkers.game_curve`."""
    return _table()["shapes"].get(name, "")


@cache
def _table() -> Table:
    table: Table = yaml.load(files(__package__).joinpath(_FILE).read_text(encoding="utf-8"), _LOADER)  # noqa: S506
    return table


def _joined(parts: Iterable[str]) -> str:
    """Return the words of some texts, each once."""
    return " ".join(dict.fromkeys(word for part in parts for word in part.split()))
