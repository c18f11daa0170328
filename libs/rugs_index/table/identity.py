"""What a table was built with: vectors and texts of two identities must never be mixed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from rugs_index.embedders.protocol import EmbedderIdentity

SCHEMA_VERSION: Final = "1"
"""Of the table's columns. Raise it when they change: tables of another version are built anew."""


@dataclass(frozen=True)
class IndexIdentity:
    """What a table is built with.

    Attributes:
        chunker: version of the chunkers.
        profile: of the texts: `rugbus` or `claude_flow_v1`.
        embedder: None where there is no model, and so no vector.
        schema: version of the columns.
    """

    chunker: str
    profile: str
    embedder: EmbedderIdentity | None = None
    schema: str = SCHEMA_VERSION

    @property
    def dimension(self) -> int | None:
        """How many numbers a vector has; None where there are no vectors."""
        return None if self.embedder is None else self.embedder.dimension

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON says it."""
        return asdict(self)

    def as_json(self) -> str:
        """Return it as JSON text, the same for the same identity."""
        return json.dumps(self.as_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Return the identity that JSON says.

        Raises:
            ValueError, LookupError, TypeError: if it says none.
        """
        embedder = told["embedder"]
        found = cls(
            chunker=str(told["chunker"]),
            profile=str(told["profile"]),
            embedder=None if embedder is None else EmbedderIdentity(**embedder),
            schema=str(told["schema"]),
        )
        if found.dimension is not None and not 0 < found.dimension < 1 << 16:
            raise ValueError(f"a vector cannot have {found.dimension} numbers")
        return found

    def differences(self, wanted: IndexIdentity) -> list[str]:
        """Return in what this identity differs from the wanted one, each as `name is A, not B`.

        A program without an embedder can read a table with vectors: whose they are is then no difference.
        """
        mine, other = self.as_dict(), wanted.as_dict()
        pairs = [(name, mine[name], other[name]) for name in ("schema", "chunker", "profile")]
        if wanted.embedder is not None and self.embedder is None:
            pairs.append(("model", None, wanted.embedder.model))
        elif wanted.embedder is not None:
            pairs += [(name, mine["embedder"][name], value) for name, value in other["embedder"].items()]
        return [f"{name} is {_shown(is_)}, not {_shown(should)}" for name, is_, should in pairs if is_ != should]


def _shown(value: object) -> str:
    return "none" if value is None else str(value) or "unknown"
