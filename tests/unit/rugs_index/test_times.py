"""The time that a question names: days, times of day, and both; all UTC."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_core.time import DAY_US, from_us, to_us
from rugs_index.search.numerals import in_digits
from rugs_index.search.times import Span, span_of

NEWEST = dt.datetime(2026, 7, 4, 15, 20, tzinfo=dt.UTC)
NOW = dt.datetime(2026, 8, 1, 10, 0, tzinfo=dt.UTC)


def span(question: str) -> Span | None:
    return span_of(in_digits(question), lambda: to_us(NEWEST), lambda: to_us(NOW))


def told(question: str) -> tuple[str, str]:
    """Return from and until when, to the second; empty: no limit."""
    found = span(question)
    assert found is not None, question
    since, until = ("" if at is None else f"{from_us(at):%Y-%m-%d %H:%M:%S}" for at in (found.since, found.until))
    return since, until


@pytest.mark.parametrize(
    ("question", "day"),
    [
        ("on 2025-12-21", "2025-12-21"),
        ("on 21 December 2025 what happened", "2025-12-21"),
        ("the 21st of december", "2025-12-21"),
        ("december 21st, 2025: who won", "2025-12-21"),
        ("dec 21", "2025-12-21"),
        ("21.12.2025", "2025-12-21"),
        ("12/21/2025", "2025-12-21"),
        ("first of january 2026", "2026-01-01"),
        ("jan 10: near 3", "2026-01-10"),
        ("independence day", "2026-07-04"),
        ("on new year's eve", "2025-12-31"),
        ("new years day 2026", "2026-01-01"),
        ("valentine's day", "2026-02-14"),
        ("july 5", "2025-07-05"),  # the newest game is of 4 July 2026
        ("yesterday", "2026-07-31"),
    ],
)
def test_days(question: str, day: str) -> None:
    following = dt.date.fromisoformat(day) + dt.timedelta(days=1)
    assert told(question) == (f"{day} 00:00:00", f"{following} 00:00:00")


@pytest.mark.parametrize(
    ("question", "since", "until"),
    [
        ("on 21 December 2025 around 18:05", "2025-12-21 17:55:00", "2025-12-21 18:16:00"),
        ("2025-12-14T20:31:05Z", "2025-12-14 20:31:05", "2025-12-14 20:31:06"),
        ("10:03 20/06/2026 what was live", "2026-06-20 10:03:00", "2026-06-20 10:04:00"),
        ("between 14:00 and 15:00 on dec 6", "2025-12-06 14:00:00", "2025-12-06 15:00:00"),
        ("between 14:00 and 15:00", "2026-07-04 14:00:00", "2026-07-04 15:00:00"),
        ("after 14:00 on dec 6", "2025-12-06 14:00:00", "2025-12-07 00:00:00"),
        ("before 6pm on dec 6", "2025-12-06 00:00:00", "2025-12-06 18:00:00"),
        ("dec 6 at quarter past three pm", "2025-12-06 15:10:00", "2025-12-06 15:20:00"),
        ("dec 6, ten to six in the evening", "2025-12-06 17:45:00", "2025-12-06 17:55:00"),
        ("dec 6 at six o'clock", "2025-12-06 06:00:00", "2025-12-06 07:00:00"),
        ("small hours of december 21", "2025-12-21 00:00:00", "2025-12-21 05:00:00"),
        ("late on 2025-12-12", "2025-12-12 18:00:00", "2025-12-13 00:00:00"),
        ("midnight on new year's eve", "2026-01-01 00:00:00", "2026-01-01 00:01:00"),
        ("at 23:00", "2026-07-03 23:00:00", "2026-07-03 23:01:00"),  # that of the newest day is yet to come
        ("around valentines", "2026-02-13 00:00:00", "2026-02-16 00:00:00"),
        ("from 2025-12-12 to 2025-12-14", "2025-12-12 00:00:00", "2025-12-15 00:00:00"),
        ("in february", "2026-02-01 00:00:00", "2026-03-01 00:00:00"),
        ("december 2025", "2025-12-01 00:00:00", "2026-01-01 00:00:00"),
        ("mid december", "2025-12-10 00:00:00", "2025-12-21 00:00:00"),
        ("opening round of 2026", "2026-01-01 00:00:00", "2027-01-01 00:00:00"),
        ("since 3 feb 2026", "2026-02-03 00:00:00", ""),
        ("before january 2026", "", "2026-01-01 00:00:00"),
        ("the last 2 hours", "2026-08-01 08:00:00", ""),
        ("last week", "2026-07-25 10:00:00", ""),
    ],
)
def test_times(question: str, since: str, until: str) -> None:
    assert told(question) == (since, until)


def test_a_part_of_the_day_of_many_days() -> None:
    assert span("at dead of night") == Span(daily=(0, 5 * 3600))
    found = span("early morning mid december")
    assert found is not None
    assert found.daily == (4 * 3600, 10 * 3600)
    assert found.since is not None


@pytest.mark.parametrize(
    "question",
    ["what is data.price", "may I buy", "march on", "10:99", "30 feb", "0000-00-00", "99:99", "peak above 50x",
     "2x leverage", "a second", "tick 20", "last game", "the last 5 games", "", "in 1999", "9 to 5",
     "how many may one have"],
)  # fmt: skip
def test_what_is_no_time(question: str) -> None:
    assert span(question) is None


@given(st.dates(dt.date(1970, 1, 1), dt.date(2100, 1, 1)))
def test_every_day_is_read_as_iso_8601_writes_it(day: dt.date) -> None:
    assert span(f"what happened on {day}?") == whole(day)


@given(st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31)), st.sampled_from(["%d %B %Y", "%b %d, %Y", "%B %d %Y"]))
def test_every_day_is_read_as_people_write_it(day: dt.date, form: str) -> None:
    assert span(f"what happened on {day:{form}}?") == whole(day)


def whole(day: dt.date) -> Span:
    begin = to_us(dt.datetime.combine(day, dt.time(), dt.UTC))
    return Span(begin, begin + DAY_US)


@given(st.text(max_size=80))
def test_no_text_makes_it_fail(text: str) -> None:
    found = span(text)
    assert found is None or found.since is None or found.until is None or found.since < found.until


WORDS = "on at before 21 december 2025 18:05 6pm noon last 3 hours and to between mid may 2025-12-21 T ten past"


@given(st.lists(st.sampled_from(WORDS.split()), max_size=9))
def test_no_words_make_it_fail(words: list[str]) -> None:
    span(" ".join(words))
