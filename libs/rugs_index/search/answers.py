"""What a search returns, and whether it answers the question. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rugs_discovery.words import EMPTY, stem
from rugs_index import kinds
from rugs_index.search.catalog import Catalog
from rugs_index.search.cues import Cue
from rugs_index.search.fusion import Candidate, is_about_data
from rugs_index.search.gathering import Gathered
from rugs_index.search.routing import Question
from rugs_index.search.thesaurus import alike

_LEAST: Final = 0.46
"""What the best candidate must score to be an answer."""
_UNKNOWN: Final = 0.9
"""What it must score more where no word of the question occurs in the index."""
_ABOUT_DATA: Final = 0.2
"""What it may score less where the question names a time, a player or a game that the index knows."""
_TYPICAL: Final = 0.35
"""The cosine of an answer, where there is no model."""
_WORD: Final = re.compile(r"\w+")
_NAME: Final = re.compile(r"(?:[A-Z][a-z]+){2,}\d*$|[A-Za-z]+_\w+$")
"""A word that can only be a name."""
_SAYS_NOTHING: Final = frozenset(
    stem(word)
    for word in re.findall(
        r"\w+",
        "ahead along another anybody anyone anything enough every everybody everyone everything find finds found know"
        " known knows look looking looks need needed needs other others please regarding said see seen somebody someone"
        " something somewhere tell thing things think told want wanted wants whatever would could should whether while"
        " first second third next single two three four five six seven eight nine ten hundred thousand half quarter"
        " january february march april june july august september october november december jan feb mar apr jun jul aug"
        " sep sept oct nov dec morning afternoon evening night noon midnight midday early late mid today yesterday day"
        " days week weeks month year years eve hour hours minute minutes second seconds pm am utc small clock twelve"
        " independence valentine valentines christmas halloween patrick new",
    )
)
"""Stems of words that a question has and an answer need not have; times are understood, and not searched."""


@dataclass(frozen=True)
class Item:
    """A chunk that was found.

    Attributes:
        score: cosine similarity of its vector to that of the question, from -1 to 1; None without a model.
        rank_score: decides its place; comparable within one result only.
        legs: what it is the sum of; None where nobody asked for an explanation.
        owner: whose it is; None: everyone may see it.
    """

    id: str
    text: str
    score: float | None
    rank_score: float
    metadata: Mapping[str, Any]
    owner: str | None = None
    legs: Mapping[str, float] | None = None


@dataclass(frozen=True)
class SearchResult:
    """What was found.

    Attributes:
        items: the best first.
        answerable: whether the items seem to answer the question; nothing is left out where they do not.
        mode: that was used: `vector`, `text` or `hybrid`, or `auto` with all that it understands.
        warnings: why the search was not what was asked for, a sentence each.
    """

    items: Sequence[Item]
    answerable: bool
    mode: str
    warnings: tuple[str, ...] = ()


def items_of(candidates: Iterable[Candidate], *, explain: bool) -> list[Item]:
    """Return candidates as items."""
    return [
        Item(
            each.hit.id,
            each.hit.text,
            each.hit.score,
            each.total,
            each.hit.metadata,
            each.hit.owner,
            each.legs if explain else None,
        )
        for each in candidates
    ]


def is_answerable(question: Question, ranked: Sequence[Candidate], gathered: Gathered, catalog: Catalog) -> bool:
    """Return whether the best candidates seem to answer a question.

    Args:
        ranked: candidates, the best first.
    """
    if not ranked or gathered.missing or not gathered.is_time_known:
        return False
    best = ranked[0]
    if best.name >= 1:
        return True
    if question.span is not None and best.kind in kinds.PROTOCOL:
        return False
    if not gathered.is_fulfilled and (best.match is not None or question.has(Cue.GAME)):
        return False
    asked = [word for word in dict.fromkeys(_WORD.findall(question.text)) if _says_something(word)]
    unknown = unknown_words(asked, ranked, catalog)
    if any(_NAME.match(word) for word in unknown):
        return False  # it asks for somebody, or something, that the index does not know
    least = _LEAST - (_ABOUT_DATA if is_about_data(question, gathered.known) else 0.0)
    share = len(unknown) / len(asked) if asked else 0.0
    likeness = _TYPICAL if best.hit.score is None else 0.0  # without a model nobody knows it
    return best.total + likeness >= least + _UNKNOWN * share


def unknown_words(asked: Iterable[str], candidates: Sequence[Candidate], catalog: Catalog) -> list[str]:
    """Return those of some words that neither the catalog nor a candidate has, whatever their ending."""
    rare = {word: root for word in asked if not catalog.knows(root := stem(word)) and not alike([root])}
    if not rare:
        return []
    texts = "\n".join(f"{each.hit.text}\n{each.hit.metadata.get('source')}" for each in candidates).lower()
    return [
        word
        for word, root in rare.items()
        if root not in texts or re.search(rf"(?<![^\W_]){re.escape(root)}", texts) is None
    ]


def _says_something(word: str) -> bool:
    is_empty = word.lower() in EMPTY or stem(word) in _SAYS_NOTHING
    return not is_empty and not any(character.isdigit() for character in word)
