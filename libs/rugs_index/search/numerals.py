"""Numbers in words: `twenty`, `a hundred`, `half`. Pure."""

from __future__ import annotations

import re
from typing import Final

_ONES: Final = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_MORE_ONES: Final = "seventeen eighteen nineteen"
_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety"
_SCALES: Final = {"hundred": 100.0, "thousand": 1000.0}
_OTHERS: Final = {"dozen": 12.0, "half": 0.5, "quarter": 0.25, "single": 1.0}
_VALUES: Final[dict[str, float]] = {
    **{word: float(number) for number, word in enumerate(f"{_ONES} {_MORE_ONES}".split())},
    **{word: number * 10.0 for number, word in enumerate(_TENS.split(), 2)},
    **_SCALES,
    **_OTHERS,
}
_WORD: Final = "|".join(sorted(_VALUES, key=len, reverse=True))
_NO_NUMBER: Final = r"(?!one\b(?! (?:[ap]\.?m\b|o'clock|hours?\b|minutes?\b|hundred|thousand)))"
"""`one` is mostly no number: `may one person do that`."""
_IN_WORDS: Final = re.compile(
    rf"\b(?:an? (?={'|'.join((*_SCALES, *_OTHERS))}))?{_NO_NUMBER}((?:{_WORD})(?:[ -](?:{_WORD}))*)(?=fold\b|\b)",
    re.IGNORECASE,
)
ORDINALS: Final[dict[str, int]] = {
    word: number
    for number, word in enumerate(
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"], 1
    )
}
NUMBER: Final = r"\d+(?:,\d{3})*(?:\.\d+)?"
"""Regular expression of a number in digits; `number` reads what it matches."""


def number(text: str) -> float:
    """Return the number that a match of `NUMBER` says."""
    return float(text.replace(",", ""))


def in_digits(text: str) -> str:
    """Return a text with its numbers in digits: `a hundred ticks` is `100 ticks`, `half past six` is `0.5 past 6`."""
    return _IN_WORDS.sub(lambda found: f"{_value(found[1]):.12g}", text)


def _value(told: str) -> float:
    total = 0.0
    for word in re.split(r"[ -]", told.lower()):
        value = _VALUES[word]
        total = max(total, 1.0) * value if word in _SCALES else total + value
    return total
