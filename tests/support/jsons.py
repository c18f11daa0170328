"""Hypothesis strategies for what JSON can say, as `fields` and arguments hold it."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st


def texts(most: int) -> st.SearchStrategy[str]:
    """Return texts of at most so many characters, all of them UTF-8."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=most)


def values(text: st.SearchStrategy[str], *, most: int, leaves: int) -> st.SearchStrategy[Any]:
    """Return values with at most `leaves` leaves, in lists and maps of at most `most`; texts and keys are of `text`."""
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | text,
        lambda inner: st.lists(inner, max_size=most) | st.dictionaries(text, inner, max_size=most),
        max_leaves=leaves,
    )


TEXT: Final = texts(8)
JSON: Final = values(TEXT, most=3, leaves=8)
