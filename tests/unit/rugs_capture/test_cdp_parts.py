"""The pure parts of the Chrome source: patterns, times, targets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_capture.cdp.clock import Clock
from rugs_capture.cdp.patterns import UrlPatterns
from rugs_capture.cdp.targets import TargetInfo, Targets

GAME = "https://*.example.com/*"


@pytest.mark.parametrize(
    ("patterns", "url", "fits"),
    [
        ("*", "", True),
        ("*", "wss://anything/at all", True),
        ("", "https://a/", False),
        (" , ", "https://a/", False),
        ("*socket.io*", "wss://backend.example.com/socket.io/?EIO=4", True),
        ("*socket.io*", "wss://backend.example.com/chat", False),
        (GAME, "https://www.example.com/", True),
        (GAME, "https://a.b.example.com:8443/", False),
        (GAME, "https://example.com/", False),
        (GAME, "https://www.example.com", False),
        (GAME, "http://www.example.com/", False),
        (GAME, "https://elsewhere.net/x.example.com/", False),
        (GAME, "https://www.example.com.elsewhere.net/", False),
        (f"https://example.com/*, {GAME}", "https://example.com/game?a=1", True),
        ("https://a/?x=[1].*", "https://a/?x=[1].2", True),
        ("https://a/?x=[1].*", "https://a/bx=1.2", False),
        ("*://a/*", "wss://a/line\nbreak", True),
    ],
)
def test_a_pattern_is_that_of_a_whole_url(patterns: str, url: str, fits: bool) -> None:
    assert UrlPatterns(patterns).fit(url) is fits


@given(st.text(st.characters(exclude_characters="*,"), min_size=1))
def test_every_other_character_stands_for_itself(url: str) -> None:
    if url.strip():
        assert UrlPatterns(url).fit(url.strip())
        assert not UrlPatterns(url).fit(url.strip() + "x")
    assert UrlPatterns("a, *").every
    assert not UrlPatterns("*a*").every


MONOTONIC = st.floats(1, 1e7)
WALL = st.floats(1.5e9, 4e9)


@given(MONOTONIC, WALL, st.lists(st.floats(0, 1e5), min_size=1))
def test_times_are_those_of_the_last_handshake_and_keep_their_order(
    monotonic: float, wall: float, later: list[float]
) -> None:
    clock = Clock()
    clock.told(1.0, 1.0)
    clock.told(monotonic, wall)
    for seconds in later:
        assert abs(clock.wall_us(monotonic + seconds, 0) - (wall + seconds) * 1e6) < 5
    times = [clock.wall_us(monotonic + seconds, 0) for seconds in sorted(later)]
    assert times == sorted(times)


def test_before_any_handshake_the_quickest_event_counts() -> None:
    clock = Clock()
    assert clock.wall_us(100.0, 1_000_000_000) == 1_000_000_000
    assert clock.wall_us(101.0, 1_000_700_000) == 1_000_700_000, "came quicker than the first"
    assert clock.wall_us(102.0, 1_009_000_000) == 1_001_700_000, "came late"
    clock.told(100.0, 5000.0)
    assert clock.wall_us(102.0, 1_009_000_000) == 5_002_000_000


def target(number: str, url: str = "https://elsewhere.net/", kind: str = "page") -> TargetInfo:
    return TargetInfo(number, kind, url)


def test_what_belongs_to_a_followed_page_is_followed_and_goes_with_it() -> None:
    targets = Targets(UrlPatterns(GAME))
    targets.attached("s1", target("page", "https://www.example.com/"), "")
    targets.attached("s2", target("frame", "https://ads.net/", "iframe"), "s1")
    targets.attached("s3", target("worker", "blob:https://ads.net/1", "worker"), "s2")
    targets.attached("s4", target("other"), "")
    targets.attached("s5", target("worker", "blob:https://www.example.com/2", "worker"), "s4")
    assert [targets.followed(f"s{number}") for number in range(1, 7)] == [True, True, True, False, True, False]
    assert targets.page("s3") == "https://www.example.com/"
    targets.moved("page", "https://ads.net/")
    targets.moved("nobody", "https://www.example.com/")
    assert [targets.followed(f"s{number}") for number in range(1, 5)] == [False, False, False, False]
    targets.moved("frame", "https://www.example.com/game")
    assert [targets.followed(f"s{number}") for number in range(1, 5)] == [False, True, True, False]
    assert {gone.session for gone in targets.detached("s1")} == {"s1", "s2", "s3"}
    assert targets.get("s2") is None
    assert targets.detached("s1") == []
    assert not targets.followed("s3")
