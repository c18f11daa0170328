"""What texts about values promise: short, exact where it matters, and on one printable line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_discovery.meanings import Meaning
from rugs_discovery.nodes import Place
from rugs_discovery.wording import (
    is_drifting,
    literal,
    meaning_text,
    number_text,
    place_text,
    printable,
    range_text,
    seen_text,
    share_text,
    shares_text,
    union_text,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1500, "1,500"),
        (1500.0, "1,500"),
        (0.1 + 0.2, "0.3"),
        (3.6745370339660797, "3.67454"),
        (-1234.5678, "-1,234.57"),
        (1234567.25, "1,234,567.25"),
        (1e-9, "1e-09"),
        (1e300, "1e+300"),
        (1 << 64, "18,446,744,073,709,551,616"),
        (10**100, "10,000,000,000,000,000,000,000,000,00..."),
    ],
)
def test_numbers_have_separators_and_six_digits_of_a_fraction(value: float, text: str) -> None:
    assert number_text(value) == text


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_only_none_is_0_percent_and_only_all_is_100(part: int, whole: int) -> None:
    part = min(part, whole)
    text = share_text(part, whole)
    assert (text == "0%") == (part == 0)
    assert (text == "100%") == (part == whole)
    if text[0] not in "<>":
        assert float(text[:-1]) == pytest.approx(100 * part / whole, abs=0.0501)


def test_a_range_that_can_be_times_has_dates() -> None:
    assert range_text(1, 1) == "always 1"
    assert range_text(-0.5, 2) == "-0.5 to 2"
    assert range_text(1_765_000_000_000, 1_765_000_000_500) == (
        "1,765,000,000,000 to 1,765,000,000,500 (in ms: 2025-12-06T05:46Z)"
    )
    assert range_text(0, 1_765_000_000_000) == "0 to 1,765,000,000,000"


def test_whole_numbers_and_fractions_are_one_type_and_null_is_no_drift() -> None:
    assert union_text({"integer": 5, "number": 1, "null": 2}) == "number or null"
    assert shares_text({"integer": 500, "number": 100, "null": 200}) == "number 75%, null 25%"
    assert shares_text({"integer": 5}) == "integer"
    assert [
        is_drifting(dict.fromkeys(types, 1)) for types in (["null"], ["number", "integer"], ["string", "null"])
    ] == [
        False,
        False,
        False,
    ]
    assert is_drifting({"string": 1, "integer": 1})


def test_a_meaning_has_its_unit_and_status_with_it() -> None:
    assert meaning_text(Meaning("A.", "f", "observed")) == "A."
    assert meaning_text(Meaning("A.", "f", "documented", unit="ms")) == "A. Unit: ms. Documented."
    assert meaning_text(Meaning("A.", "f", "contradicted", note="B.\nC.")) == "A. Contradicted: B.\\nC."
    assert meaning_text(Meaning("A.", "f", "observed", note="B.")) == "A. B."


def test_a_place_is_a_line_of_a_file_or_an_id() -> None:
    assert place_text(Place(0, "a.jsonl", 7)) == seen_text(Place(0, "a.jsonl", 7)) == "a.jsonl:7"
    assert seen_text(Place(1_765_000_000_000_001, "0af3")) == "2025-12-06T05:46:40.000001Z, 0af3"


@given(st.one_of(st.text(), st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zl"])), st.floats(), st.integers()))
def test_every_value_is_one_printable_line(value: str | float) -> None:
    for text in (literal(value), printable(str(value))):
        assert text.isprintable()
        text.encode()
    assert len(literal(value)) <= 40 or isinstance(value, str)
