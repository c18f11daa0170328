"""Which hits are right."""

from __future__ import annotations

from typing import Any

import pytest

from tests.retrieval.corpus import facts
from tests.retrieval.matching import Matcher
from tests.retrieval.questions import Question, Target
from tests.retrieval.searcher import Hit

MOON = facts().games["dec21-moon"]
SECOND = 1_000_000
CHAT = facts().happened["lag-complaint"]
CHAT_GAME = facts().games[CHAT.game].id
BOUGHT = facts().happened["bot-return-buy"]
MATCHER = Matcher(facts(), {"capture.jsonl": "session-1"})

FIELD = {"kind": "field", "event_type": "gameStateUpdate", "field_path": "data.price"}
SAID = {
    "kind": "ws_event",
    "event_type": "newChatMessage",
    "username": CHAT.player,
    "ts": CHAT.at,
    "game_id": "",
}
ACTED = {
    "kind": "player_action",
    "username": "HeronBot",
    "game_id": facts().games[BOUGHT.game].id,
    "ts": BOUGHT.at - 3 * SECOND,
    "until": BOUGHT.at + 20 * SECOND,
}


def hit(**metadata: Any) -> Hit:
    return Hit("0" * 16, 0.5, metadata, "text")


@pytest.mark.parametrize(
    ("target", "metadata", "is_right"),
    [
        (Target("field", "data.price", "gameStateUpdate"), FIELD, True),
        (Target("field", "data.price"), FIELD, True),
        (Target("field", "data.price", "standard/newTrade"), FIELD, False),
        (Target("field", "data.prices", "gameStateUpdate"), FIELD, False),
        (Target("field", "data.price", "gameStateUpdate"), {**FIELD, "kind": "example"}, False),
        (
            Target("field", "data.success", "ack"),
            {**FIELD, "event_type": "packet:ack", "field_path": "data.success"},
            True,
        ),
        (Target("event", "ping"), {"kind": "event", "event_type": "ping"}, True),
        (Target("event", "ping"), {"kind": "example", "event_type": "ping"}, True),
        (Target("event", "ack"), {"kind": "event", "event_type": "packet:ack"}, True),
        (Target("event", "ping"), {"kind": "ws_event", "event_type": "ping"}, False),
        (Target("event", "ping"), {"kind": "event", "event_type": "ack"}, False),
        (Target("game", "dec21-moon"), {"kind": "game", "game_id": MOON.id}, True),
        (Target("game", "dec21-moon"), {"kind": "player_action", "game_id": MOON.id}, False),
        (Target("game", "dec21-after"), {"kind": "game", "game_id": MOON.id}, False),
        (Target("session", "capture.jsonl"), {"kind": "session", "session_id": "session-1"}, True),
        (Target("session", "live-session"), {"kind": "session", "session_id": "live-session"}, True),
        (Target("session", "capture.jsonl"), {"kind": "session", "session_id": "session-2"}, False),
        (Target("moment", "lag-complaint"), SAID, True),
        (Target("moment", "lag-complaint"), {**SAID, "game_id": CHAT_GAME}, True),
        (Target("moment", "lag-complaint"), {**SAID, "ts": CHAT.at + SECOND}, True),
        (Target("moment", "lag-complaint"), {**SAID, "ts": CHAT.at + SECOND + 1}, False),
        (Target("moment", "lag-complaint"), {**SAID, "username": "SaltyOtter"}, False),
        (Target("moment", "lag-complaint"), {**SAID, "event_type": "standard/newTrade"}, False),
        (Target("moment", "lag-complaint"), {key: value for key, value in SAID.items() if key != "ts"}, False),
        (Target("action", "bot-return-buy"), ACTED, True),
        (Target("action", "bot-return-buy"), {**ACTED, "until": None, "ts": BOUGHT.at}, True),
        (Target("action", "bot-return-buy"), {**ACTED, "until": BOUGHT.at - 2 * SECOND}, False),
        (Target("action", "bot-return-buy"), {**ACTED, "kind": "ws_event"}, False),
        (Target("game", "dec21-moon"), {}, False),
    ],
)
def test_a_hit_is_right_by_its_metadata(target: Target, metadata: dict[str, Any], is_right: bool) -> None:
    assert MATCHER.is_right(target, hit(**metadata)) is is_right


def test_an_answer_counts_once_in_whichever_form_it_is_found() -> None:
    forms = (Target("event", "ping"), Target("event", "ack"))
    question = Question("q", "event", "x", (forms, (Target("event", "connect"),)))
    hits = [hit(kind="event", event_type=name) for name in ("ack", "success", "ping", "connect", "connect")]
    assert MATCHER.gains(question, hits) == [1, 0, 0, 1, 0]
    assert MATCHER.gains(question, []) == []


def test_nothing_is_right_for_a_question_without_answers() -> None:
    assert MATCHER.gains(Question("q", "unanswerable", "x"), [hit(**FIELD)]) == [0]
