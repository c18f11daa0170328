"""The domains that the contract knows: one line each, at the end.

A domain declares what it is in a module of this package; validators, ids and the lake ask the tables below. The lake
stores doc types of no domain as well. `rugs_lake.domains` has the other half.
"""

from __future__ import annotations

from typing import Final

from rugs_proto.domains.domain import Domain, Keyed, Natural
from rugs_proto.domains.games import GAMES

DOMAINS: Final[dict[str, Domain]] = {}
"""Domains by name."""
NATURAL: Final[dict[str, Natural]] = {}
"""Natural keys by doc type."""
KEYED: Final[dict[str, Keyed]] = {}
"""Keys by keyed doc type."""

OWN_DOC_TYPES: Final = ("system_event", "reject")
"""The doc types that belong to no domain: Rugbus writes them itself."""


def register(domain: Domain) -> None:
    """Make a domain known.

    Raises:
        ValueError: if another domain has its name, or one of its doc types.
    """
    if domain.name in DOMAINS or set(domain.doc_types) & set(doc_types()):
        raise ValueError(f"the domain {domain.name}, or one of its doc types, is registered already")
    DOMAINS[domain.name] = domain
    NATURAL.update(domain.natural)
    KEYED.update(domain.keyed)


def doc_types() -> tuple[str, ...]:
    """Return the doc types that are known. The set is open: any other name of the pattern is stored, too."""
    return (*(name for domain in DOMAINS.values() for name in domain.doc_types), *OWN_DOC_TYPES)


register(GAMES)
