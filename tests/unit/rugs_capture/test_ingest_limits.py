"""Who may send, how much, and how much at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_capture.ingest.access import Access
from rugs_capture.ingest.limits import BURST_SECONDS, Allowance, Room, Sender
from rugs_capture.ingest.receiving import Numbers
from rugs_capture.ingest.terms import RequestError

SENDER = Sender(1.0, 1.0)
HERE = {"Host": "127.0.0.1:9147"}


class Clock:
    """Time that goes on when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_debt_has_to_be_paid_before_more_may_come() -> None:
    clock = Clock()
    allowance = Allowance(10, clock)
    assert allowance.wait == 0
    allowance.spend(10 * BURST_SECONDS + 30)
    assert 3 <= allowance.wait <= 3.2
    clock.now += 3.2
    assert allowance.wait == 0
    clock.now += 1e6
    allowance.spend(10 * BURST_SECONDS + 1)
    assert allowance.wait > 0, "rest is not saved up for ever"


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0, 3)), min_size=1, max_size=60))
def test_over_time_no_more_than_the_rate_comes(sends: list[tuple[int, float]]) -> None:
    clock = Clock()
    allowance = Allowance(100, clock)
    spent = 0
    for units, pause in sends:
        clock.now += pause
        if allowance.wait == 0:
            allowance.spend(units)
            spent += units
    assert spent <= 100 * (clock.now - 100 + BURST_SECONDS) + 500


def test_room_is_given_back_and_one_alone_always_has_it() -> None:
    room = Room(100)
    with room.guest() as one:
        one.add(90)
        with room.guest() as two, pytest.raises(RequestError) as refused:
            two.add(20)
        assert (refused.value.status, refused.value.retry_after) == (429, 1.0)
        assert room.held == 90
        one.add(90)
    assert room.held == 0


@pytest.mark.parametrize(
    ("remote", "headers"),
    [
        ("127.0.0.1", HERE),
        ("127.0.0.5", {"Host": "localhost"}),
        ("::1", {"Host": "[::1]:9147"}),
        ("::ffff:127.0.0.1", {"Host": "LOCALHOST:9147"}),
        ("127.0.0.1", {}),
        ("127.0.0.1", HERE | {"Origin": "http://localhost:3000"}),
        ("127.0.0.1", HERE | {"Origin": "http://[::1]:3000", "Sec-Fetch-Site": "same-site"}),
    ],
)
def test_programs_of_this_machine_need_no_token(remote: str, headers: dict[str, str]) -> None:
    assert Access(None, SENDER).admit(remote, headers) is SENDER


@pytest.mark.parametrize(
    ("remote", "headers"),
    [
        ("192.168.1.5", HERE),
        ("::2", HERE),
        (None, HERE),
        ("", HERE),
        ("127.0.0.1", {"Host": "rebound.example:9147"}),
        ("127.0.0.1", {"Host": "127.0.0.1.evil.example"}),
        ("127.0.0.1", {"Host": "localhost.evil.example"}),
        ("127.0.0.1", {"Host": "[:::"}),
        ("127.0.0.1", {"Host": ""}),
        ("127.0.0.1", HERE | {"Origin": "https://evil.example"}),
        ("127.0.0.1", HERE | {"Origin": "http://localhost@evil.example"}),
        ("127.0.0.1", HERE | {"Origin": "null"}),
        ("127.0.0.1", HERE | {"Origin": ""}),
        ("127.0.0.1", HERE | {"Sec-Fetch-Site": "cross-site"}),
        ("127.0.0.1", HERE | {"X-Forwarded-For": "10.0.0.1"}),
        ("127.0.0.1", HERE | {"Authorization": "Bearer whatever", "Forwarded": "for=10.0.0.1"}),
    ],
)
def test_others_do(remote: str | None, headers: dict[str, str]) -> None:
    with pytest.raises(RequestError) as refused:
        Access(None, SENDER).admit(remote, headers)
    assert refused.value.status == 403
    token = {**headers, "Authorization": "bearer  t0ken"}
    assert Access("t0ken", SENDER).admit(remote, token) is SENDER, "with the token, from wherever"


@pytest.mark.parametrize("told", ["", "Bearer", "Bearer ", "Bearer x", "t0ken", "Basic t0ken", "Bearer t0ken\udcff"])
def test_a_wrong_token(told: str) -> None:
    with pytest.raises(RequestError) as refused:
        Access("t0ken", SENDER).admit("127.0.0.1", {"Authorization": told})
    assert refused.value.status == 401


def test_numbers_rise_whatever_the_clock_does() -> None:
    numbers = Numbers()
    given_out = [numbers.next() for _ in range(10_000)]
    assert given_out == sorted(set(given_out))
