"""Derived events become messages: of one kind each, in order, none too large, and none that stops the others."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_derive.outbox import Outbox
from rugs_proto import draft, wire
from rugs_proto.draft import joined
from rugs_proto.ids import natural_id
from rugs_proto.subjects import MAX_BODY, TARGET_BODY
from tests.support.examples import examples
from tests.support.lakekit import tick


def row(number: int, session: str = "a", pad: int = 0, **changes: Any) -> dict[str, Any]:
    told = tick(number, session_id=session, **changes)
    told["fields"] = {**told["fields"], "pad": "x" * pad}
    return {**told, "id": natural_id("game_tick", told["source"], told["game_id"], told["fields"])}


SOURCES = st.sampled_from(["cdp", "public_ws"])


@settings(max_examples=examples(30))
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["cdp", "public_ws"]), st.integers(0, 300)), max_size=40)
)
def test_every_event_is_in_one_message_with_its_own_kind_and_in_order(told: list[tuple[str, str, int]]) -> None:
    rows = [row(number, session, pad, source=source) for number, (session, source, pad) in enumerate(told)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draft, "TARGET_BODY", 1500)
        box = Outbox()
        for each in rows:
            box.add(each)
        messages = box.take()
    assert (box.size, box.take()) == (0, [])
    held = []
    for message in messages:
        judged = wire.judge(joined(message.parts), "game_tick")
        assert not judged.faults
        assert {(event.envelope.source, event.envelope.session_id) for event in judged.events} == {
            (message.source, message.session_id)
        }
        assert message.subject == f"rugs.events.game_tick.{message.source}.tick"
        assert [event.digest.hex() for event in judged.events] == message.ids
        assert len(message.ids) == 1 or len(joined(message.parts)) <= 1600
        held.append([event.envelope.seq for event in judged.events])
    assert sorted(chain(*held)) == list(range(1, len(rows) + 1))
    assert all(seqs == sorted(seqs) for seqs in held)


def test_an_event_that_no_message_holds_is_counted_and_the_others_go() -> None:
    box = Outbox()
    for each in (row(1), row(2, pad=MAX_BODY), {**row(3), "fields": {"odd": object()}}, row(4, pad=TARGET_BODY)):
        box.add(each)
    assert box.dropped == {"game_tick": 2}
    assert [len(message.ids) for message in box.take()] == [1, 1]


def test_events_of_different_names_share_a_message() -> None:
    box = Outbox()
    for number, event in enumerate(("connect", "disconnect")):
        box.add({**row(number), "doc_type": "system_event", "event": event})
    (message,) = box.take()
    assert message.subject == "rugs.events.system_event.public_ws._"
