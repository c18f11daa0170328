"""The domains that the lake knows: one line each, at the end.

A domain declares what it is in a module of this package; the lake asks the tables below. It stores doc types of no
domain as well, all of them public. `rugs_proto.domains` has the other half.
"""

from __future__ import annotations

from typing import Final

from rugs_lake.domains.domain import Domain, FieldType, Private
from rugs_lake.domains.games import GAMES

DOMAINS: Final[dict[str, Domain]] = {}
"""Domains by name."""
PRIVATE: Final[dict[str, Private]] = {}
"""What is private, by doc type."""


def register(domain: Domain) -> None:
    """Make a domain known; the contract's half is registered by itself.

    Raises:
        ValueError: if another domain has its name, or one of its views.
    """
    if domain.contract.name in DOMAINS or domain.views.keys() & views().keys():
        raise ValueError(f"the domain {domain.contract.name}, or one of its views, is registered already")
    DOMAINS[domain.contract.name] = domain
    PRIVATE.update(domain.private)


def columns() -> dict[str, FieldType]:
    """Return the keys of `fields` that have a column of their own, in the order of the columns."""
    return {name: type_ for domain in DOMAINS.values() for name, type_ in domain.columns.items()}


def views() -> dict[str, str]:
    """Return the queries of all views, by name."""
    return {name: query for domain in DOMAINS.values() for name, query in domain.views.items()}


def default_retention(doc_type: str) -> int | None:
    """Return for how many days rows of a doc type are kept by default; None: for ever."""
    days = (domain.retention.get(doc_type) for domain in DOMAINS.values())
    return next((each for each in days if each is not None), None)


register(GAMES)
