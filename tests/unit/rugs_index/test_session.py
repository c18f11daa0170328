"""The summary of a session: of each kind, and of what it missed."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rugs_index.chunkers.session import Outage, SessionFacts, session_chunk
from tests.support.lakekit import NOON_US

SECOND = 1_000_000
FACTS = SessionFacts("public_ws", "s-1", None, NOON_US, NOON_US + 7_325 * SECOND)


def test_a_live_session_says_what_it_has_and_what_it_missed() -> None:
    outages = [Outage(NOON_US, NOON_US + 5 * SECOND, "lost"), Outage(NOON_US + 60 * SECOND, NOON_US + 150 * SECOND)]
    facts = replace(
        FACTS, count=1_030, kinds=12, derived=500, games=7, events={"gameStateUpdate": 1_000, "newChatMessage": 20},
        url="wss://example.invalid/?auth=***", page="https://example.invalid", reason="timed out", outages=outages,
    )  # fmt: skip
    chunk = session_chunk("session:public_ws/s-1", facts)
    assert chunk.text.splitlines() == [
        "Recording session s-1: a live capture of the public feed.",
        "It begins on Monday 1 June 2026 at 12:00 UTC and spans 2 h 2 min.",
        "It has 1,030 events of 7 games: 1,000 gameStateUpdate, 20 newChatMessage and 10 other kinds.",
        "Connected to wss://example.invalid/?auth=*** for https://example.invalid.",
        "It ended: timed out.",
        "It reports 2 outages (gaps in which nothing was recorded), 1 min 35 s in all; the longest: 5 s from 12:00:00"
        " UTC (lost) and 1 min 30 s from 12:01:00 UTC.",
    ]
    assert chunk.metadata["source"] == "session/s-1"
    assert (chunk.metadata["outages"], chunk.metadata["outage_s"]) == (2, 95.0)
    assert (chunk.metadata["ts"], chunk.metadata["until"]) == (NOON_US, NOON_US + 7_325 * SECOND)


def test_an_imported_recording_names_its_file_and_its_damage() -> None:
    facts = replace(FACTS, source="import", count=1, events={"tick": 1}, recordings=["game_1.jsonl"], rejects=72)
    chunk = session_chunk("session:import/s-1", facts)
    assert "an old recording that was imported." in chunk.text
    assert "Recorded in game_1.jsonl." in chunk.text
    assert "Damaged: 72 lines of it could not be read." in chunk.text
    assert chunk.metadata["source"] == "game_1.jsonl"


def test_the_private_part_of_a_session_is_its_owners() -> None:
    chunk = session_chunk(
        "session:cdp/s", replace(FACTS, source="cdp", owner="did:1", count=2, events={"playerUpdate": 2})
    )
    assert chunk.owner == "did:1"
    assert "a live capture of a Chrome browser (CDP), the private part of one user." in chunk.text


TIMES = st.integers(0, 2**50)


@given(
    st.text(max_size=90), st.text(max_size=90), st.dictionaries(st.text(max_size=9), st.integers(1, 9), max_size=20),
    st.lists(st.builds(lambda since, length: Outage(since, since + length), TIMES, TIMES), max_size=9),
)  # fmt: skip
def test_no_session_makes_it_fail(session: str, url: str, events: dict[str, int], outages: list[Outage]) -> None:
    facts = replace(FACTS, session_id=session, url=url, reason=url, events=events, count=5, kinds=30, outages=outages)
    chunk = session_chunk("x", facts)
    json.dumps(dict(chunk.metadata), allow_nan=False)
    assert len(chunk.text.splitlines()) <= 7
