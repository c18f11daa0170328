"""The simulator plays recordings: old captures, its own log, frames one a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rugs_sim import Recording, RecordingError
from rugs_sim.show import Answer, Now

DEMO = Path(__file__).parents[3] / "demo" / "recordings" / "raw_captures"


def written(tmp_path: Path, *lines: Any) -> Path:
    path = tmp_path / "recording.jsonl"
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


def played(path: Path) -> list[tuple[int, tuple[str | bytes, ...]]]:
    return [(cue.at, cue.messages) for cue in Recording(path).play().cues()]


def test_a_raw_capture_is_played_with_its_own_times(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"seq": 1, "ts": "2025-12-12T17:16:58.000000", "event": "connect", "data": None},
        {"seq": 2, "ts": "2025-12-12T17:16:58.500000", "event": "gameStateUpdate", "data": {"gameId": "g", "price": 1}},
        {"seq": 3, "ts": "2025-12-12T17:16:59", "event": "standard/newTrade", "data": [{"__trace": True}, {"qty": 2}]},
        {"seq": 4, "ts": "2025-12-12T17:16:58.900000", "event": "bare", "data": None},
    )
    assert played(path) == [
        (0, ('42["gameStateUpdate",{"gameId":"g","price":1}]',)),
        (500_000, ('42["standard/newTrade",{"__trace":true},{"qty":2}]',)),
        (500_000, ('42["bare"]',)),
    ]


def test_of_a_cdp_capture_only_what_the_server_sent(tmp_path: Path) -> None:
    common = {"source": "cdp_intercept"}
    path = written(
        tmp_path,
        {
            "seq": 1,
            "ts": "2025-12-15T05:39:20+00:00",
            "event": "authenticate",
            "data": {},
            "direction": "sent",
            **common,
        },
        {"seq": 2, "ts": "2025-12-15T05:39:21+00:00", "event": "a", "data": 5, "direction": "received", **common},
        {"seq": 3, "ts": "2025-12-15T05:39:22+00:00", "event": "b", "data": 5, "raw": '42["b", 5.0]', **common},
    )
    assert played(path) == [(0, ('42["a",5]',)), (1_000_000, ('42["b", 5.0]',))]


def test_samples_are_played(tmp_path: Path) -> None:
    path = written(tmp_path, {"timestamp": "2025-12-06T20:50:21.6", "event_type": "e", "data": {"price": 1.0}})
    assert played(path) == [(0, ('42["e",{"price":1.0}]',))]


def test_its_own_log_is_played_again(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"connection": 1, "at": 100, "opened": "websocket"},
        {"connection": 1, "number": 1, "at": 100, "frame": '0{"sid":"x"}'},
        {"connection": 1, "number": 2, "at": 110, "frame": '40{"sid":"y"}'},
        {"connection": 1, "number": 3, "at": 120, "frame": '451-["e",{"_placeholder":true,"num":0}]'},
        {"connection": 1, "number": 4, "at": 121, "base64": "AQI="},
        {"connection": 2, "number": 1, "at": 130, "frame": '42["other"]'},
        {"connection": 1, "at": 140, "heard": "3"},
        {"connection": 1, "number": 5, "at": 150, "frame": "2"},
        {"connection": 1, "number": 6, "at": 160, "frame": "430[]"},
        {"connection": 1, "number": 7, "at": 170, "frame": "7", "fault": "junk"},
    )
    assert played(path) == [(0, ('451-["e",{"_placeholder":true,"num":0}]',)), (1, (b"\x01\x02",)), (50, ("7",))]


def test_frames_one_a_line_come_four_times_a_second(tmp_path: Path) -> None:
    path = written(tmp_path, '0{"sid":"x"}', "40", '42["a",1]', "2", "", '42["b" , 1.0]', "what is this", '{"torn')
    assert played(path) == [
        (250_000, ('42["a",1]',)),
        (500_000, ('42["b" , 1.0]',)),
        (750_000, ("what is this",)),
        (1_000_000, ('{"torn',)),
    ]


def test_what_is_on_is_read_from_the_game_states(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '42["gameStateUpdate",{"gameId":"g","price":1.5,"tickCount":7}]',
        '42["gameStateUpdate",{"gameId":"g","cooldownTimer":0}]',
        '42["gameStateUpdate",{"gameId":"h","cooldownTimer":5000}]',
        '42["gameStateUpdate",5]',
    )
    show = Recording(path).play()
    assert show.now() == Now()
    seen = [(cue.is_state, show.now()) for cue in show.cues()]
    assert seen == [(True, Now("g", 7, 1.5)), (True, Now("g", 7, 1.5)), (True, Now("h")), (True, Now("h"))]
    seat = show.seat(1)
    assert (seat.welcome(), seat.beside_state(), seat.ask("buyOrder", ())) == ((), (), Answer())


@pytest.mark.parametrize("name", ["2025-12-02_01-00-00_raw.jsonl", "2025-12-02_02-00-00_cdp.jsonl"])
def test_the_recordings_that_are_shipped_can_be_played(name: str) -> None:
    path = DEMO / name
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    told = [each for each in records if each["event"] != "connect" and each.get("direction") != "sent"]
    cues = played(path)
    assert len(cues) == len(told)
    assert [json.loads(str(messages[0])[2:])[0] for _, messages in cues] == [each["event"] for each in told]
    assert 3_000_000 < cues[-1][0] < 60_000_000


def test_an_empty_recording_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="nothing to play in"):
        Recording(written(tmp_path, "")).play()
    with pytest.raises(RecordingError, match=r"cannot read .*: No such file"):
        Recording(tmp_path / "none").play()
