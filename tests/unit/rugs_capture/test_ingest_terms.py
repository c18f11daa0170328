"""What headers say beside a body, and which times are sure."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rugs_capture.ingest.terms import Kind, RequestError, Terms, read_terms
from rugs_capture.ingest.times import read_time

NOW = 1_763_700_000_000_000


@pytest.mark.parametrize(
    ("told", "micros"),
    [
        (1_763_700_000, NOW),
        (1_763_700_000.5, NOW + 500_000),
        (1_763_700_000_000, NOW),
        (1_763_700_000_000.25, NOW + 250),
        (NOW, NOW),
        (NOW * 1000 + 999, NOW),
        ("1763700000", NOW),
        ("1763700000000", NOW),
        ("2025-11-21T04:40:00Z", NOW),
        ("2025-11-20T23:40:00.000001-05:00", NOW + 1),
        (datetime(2025, 11, 21, 4, 40, tzinfo=UTC), NOW),
        ("2025-11-21T04:40:00", None),
        ("2025-11-21", None),
        ("yesterday", None),
        ("9" * 30, None),
        ("0001-01-01T00:00:00+14:00", None),
        (5, None),
        (-1, None),
        (10**30, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ([], None),
        (None, None),
    ],
)
def test_times(told: object, micros: int | None) -> None:
    assert read_time(told) == micros


@pytest.mark.parametrize(
    ("told", "terms"),
    [
        ({}, Terms()),
        ({"content-type": "application/json; charset=UTF-8"}, Terms(kind=Kind.JSON)),
        ({"Content-Type": "application/x-ndjson"}, Terms(kind=Kind.LINES)),
        ({"Content-Type": "application/x-www-form-urlencoded"}, Terms()),
        (
            {"Rugs-Session": "abc", "Rugs-Source": "bot", "RUGS-DIRECTION": "sent"},
            Terms(session="abc", source="bot", direction="sent"),
        ),
    ],
)
def test_headers(told: dict[str, str], terms: Terms) -> None:
    assert read_terms(told) == terms


def test_a_key_is_the_same_by_either_name() -> None:
    by_http, by_bus = read_terms({"Idempotency-Key": "a b"}), read_terms({"Nats-Msg-Id": "a b"})
    assert by_http.key == by_bus.key
    assert by_http.key is not None
    assert len(by_http.key) == 16


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"Rugs-Source": "Else-where"}, 400),
        ({"Rugs-Direction": "up"}, 400),
        ({"Rugs-Session": ""}, 400),
        ({"Rugs-Session": "s" * 401}, 400),
        ({"Rugs-Session": "\udcff"}, 400),
        ({"Idempotency-Key": "k" * 2000}, 400),
        ({"Content-Type": "image/png"}, 415),
        ({"Content-Type": "text/plain; charset=utf-16"}, 415),
    ],
)
def test_headers_that_cannot_be_understood(told: dict[str, str], status: int) -> None:
    with pytest.raises(RequestError) as error:
        read_terms(told)
    assert error.value.status == status
