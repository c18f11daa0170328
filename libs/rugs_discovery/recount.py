"""Count the paths of JSON texts with DuckDB's `json_tree`, which shares no code with the scan."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final, NamedTuple, Self

import duckdb

from rugs_discovery.paths import ITEM, Step

_TREE: Final = """
CREATE OR REPLACE TEMP TABLE tree AS
SELECT
    id,
    parent,
    key,
    CASE
        WHEN type IN ('BIGINT', 'UBIGINT') OR (type = 'DOUBLE' AND regexp_full_match(atom, '-?[0-9]+')) THEN 'integer'
        WHEN type = 'DOUBLE' THEN 'number'
        WHEN type = 'VARCHAR' THEN 'string'
        ELSE lower(type)
    END AS type,
    CASE WHEN type IN ('ARRAY', 'OBJECT') THEN fullkey END AS fullkey
FROM json_tree(?)
"""
"""One row a value, with its JSON type; a whole number too large for 64 bit is a DOUBLE whose text has digits alone."""
_COUNT: Final = r"""
WITH containers AS (
    SELECT id, type, regexp_replace(fullkey, '("(?:[^"\\]|\\.)*")|\[[0-9]+\]', '[\1]', 'gs') AS place
    FROM tree
    WHERE fullkey IS NOT NULL AND id > 0
)
SELECT place, CASE containers.type WHEN 'object' THEN key END, tree.type, count(*)
FROM tree JOIN containers ON tree.parent = containers.id
GROUP BY ALL
"""
r"""Counts the members of each container by key and type.

A container's `fullkey` is `$.name."quoted name"[0]`, in quotes with a backslash before `\` and `"`. It becomes
`$.name.["quoted name"][]`: elements of arrays are alike, and a bracket in a key is no element.
"""
_STEP: Final = re.compile(r'\.?\["((?:[^"\\]|\\.)*)"\]|\[\]|\.([^.\[]+)', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class Members(NamedTuple):
    """Values of one type, of one key or of the elements, in the containers at one path.

    Attributes:
        group: the number of the group of texts.
        container: the path of the object or array that has the values; None for the texts themselves.
        step: the key of the values, or `ITEM`.
        number: how many values there are.
    """

    group: int
    container: tuple[Step, ...] | None
    step: Step
    type: str
    number: int


class Recount:
    """Counts with a DuckDB of its own, in memory: close it."""

    def __init__(self) -> None:
        self._db = duckdb.connect(config={"threads": 1, "enable_external_access": False, "temp_directory": ""})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the DuckDB."""
        self._db.close()

    def count(self, groups: Sequence[Sequence[bytes]]) -> Iterator[Members]:
        """Give what groups of JSON texts hold, each path literally: no object is a map here.

        All texts are one document, so that DuckDB reads them at once: joining a table with `json_tree` would repeat
        each text for each of its values.
        """
        document = ",".join(f'"{at}":[{b",".join(texts).decode()}]' for at, texts in enumerate(groups))
        places: dict[str, tuple[Step, ...]] = {}
        self._db.execute(_TREE, ["{" + document + "}"])
        for place, key, type_name, number in self._db.execute(_COUNT).fetchall():
            if place not in places:
                places[place] = tuple(_steps(place))
            group, *inner = places[place]
            step = ITEM if key is None else key
            container = tuple(inner[1:]) if inner else None
            yield Members(int(str(group)), container, step, type_name, number)


def _steps(place: str) -> Iterator[Step]:
    for found in _STEP.finditer(place, 1):
        quoted, plain = found.groups()
        if quoted is not None:
            yield _ESCAPED.sub(r"\1", quoted)
        else:
            yield ITEM if plain is None else plain
