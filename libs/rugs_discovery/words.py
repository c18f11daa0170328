"""Words of names and sentences, and how well texts match a question: a small BM25, without synonyms."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_WORD: Final = re.compile(r"[A-Z][a-z][A-Z](?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+[a-z]*|[^\W\d_A-Za-z]+")
_PLAIN: Final = re.compile(r"[^\W_]+")
_ENDINGS: Final = (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""), ("e", ""))
_SHORTEST_STEM: Final = 3
EMPTY: Final = frozenset(
    re.findall(
        r"\w+",
        "a about all an and any are at be been by can did do does for from get give had has have how i if in into is it"
        " its many me much my of on one or our out show so tell than that the their them there these they this to us"
        " was we were what when where which who whose why will with you your",
    )
)
"""Words of questions that say nothing of a field."""
_SATURATION: Final = 1.2
_LENGTH: Final = 0.4


def words(text: str) -> list[str]:
    """Return the stems of the words of a text; `gameStateUpdate` has three, and is a word itself, too."""
    found = []
    for plain in _PLAIN.findall(text):
        parts = _WORD.findall(plain)
        found += [stem(part) for part in parts]
        if len(parts) > 1:
            found.append(stem(plain))
    return found


def question_words(text: str) -> list[str]:
    """Return the stems of the words of a question that say something, each once; all of them if none does."""
    found = [part for plain in _PLAIN.findall(text) for part in _WORD.findall(plain)]
    telling = [part for part in found if part.lower() not in EMPTY]
    return list(dict.fromkeys(map(stem, telling or found)))


def stem(word: str) -> str:
    """Return a word without the commonest endings, in lower case: `prices`, `priced` and `price` have one stem."""
    text = word.lower()
    for ending, instead in _ENDINGS:
        if text.endswith(ending) and len(text) - len(ending) >= _SHORTEST_STEM and not text.endswith("ss"):
            text = text.removesuffix(ending) + instead
            break
    if len(text) > _SHORTEST_STEM and text[-1] == text[-2] and text[-1] not in "lsz":
        text = text[:-1]
    return text


def weighted(texts: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the words of texts, with the sum of what each weighs in each of them."""
    found: defaultdict[str, float] = defaultdict(float)
    for text, weight in texts:
        for word in words(text):
            found[word] += weight
    return dict(found)


def scores(question: Sequence[str], texts: Sequence[Mapping[str, float]]) -> list[float]:
    """Return how well each text, given as weights of its words, matches the words of a question; 0: not at all."""
    found_in = {word: sum(word in text for text in texts) for word in question}
    lengths = [sum(text.values()) for text in texts]
    average = sum(lengths) / len(lengths) if lengths else 1.0
    return [
        sum(_score(text.get(word, 0), found_in[word], len(texts), length / average) for word in question)
        for text, length in zip(texts, lengths, strict=True)
    ]


def _score(weight: float, found_in: int, texts: int, length: float) -> float:
    if not weight:
        return 0.0
    rarity = math.log(1 + (texts - found_in + 0.5) / (found_in + 0.5))
    return rarity * weight * (_SATURATION + 1) / (weight + _SATURATION * (1 - _LENGTH + _LENGTH * length))
