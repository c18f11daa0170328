"""Made-up recordings: always the same, shaped like real ones, and compressing like them."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import zstandard

from rugs_legacy.formats import FORMATS
from rugs_legacy.recognise import UnknownFormatError
from rugs_legacy.recording import Counts, look_at, read
from rugs_sim.made_up.feed import Feed
from rugs_sim.old_files.generate import (
    START,
    demo_files,
    files_of_every_format,
    frame_lines,
    tick_lines,
    write_files,
)
from rugs_sim.old_files.recorders import cdp_capture, raw_capture
from tests.support.legacy_files import read_file

SHIPPED = Path(__file__).parents[3] / "demo" / "recordings"

REAL_FRAME_RATIO = 4.08
"""zstd-3 of single frames, all bytes of the real captures over all compressed bytes."""
REAL_CAPTURE_RATIO = 28
"""zstd-9 of the real captures in pages of 8 MiB."""


@pytest.fixture(scope="module")
def captures() -> list[bytes]:
    """The lines of some captures as long as the real ones, half of each kind."""
    lines: list[bytes] = []
    for seed in range(5):
        lines += raw_capture(Feed(seed, START), 554)
        lines += cdp_capture(Feed(100 + seed, START), 419)
    return lines


@pytest.fixture(scope="module")
def states(captures: list[bytes]) -> list[dict[str, Any]]:
    records = map(json.loads, captures)
    return [record["data"] for record in records if record["event"] == "gameStateUpdate"]


@pytest.mark.slow
def test_what_is_shipped_is_what_the_generator_writes() -> None:
    shipped = {str(path.relative_to(SHIPPED)): path.read_bytes() for path in SHIPPED.rglob("*") if path.is_file()}
    assert shipped == demo_files()
    assert sum(map(len, shipped.values())) < 1_500_000


def test_what_is_shipped_has_every_kind_of_line() -> None:
    total, formats, zones, events = Counts(), Counter[str](), Counter[str](), Counter[str]()
    for path in sorted(path for path in SHIPPED.rglob("*") if path.is_file()):
        recording, counts = look_at(path, "America/New_York"), Counts()
        formats[recording.format.id] += 1
        for envelope in read(recording, counts):
            zones[envelope["origin"]["tz"]] += 1
            events[envelope["event"]] += 1
        for name in ("lines", "blank", "records", "rejected", "salvaged"):
            setattr(total, name, getattr(total, name) + getattr(counts, name))
    assert formats == {"F1": 6, "F2": 1, "F9": 2, "F10": 1}
    assert (total.blank, total.rejected, total.salvaged) == (1, 13, 5)
    assert total.lines == total.records + total.rejected + total.blank
    assert set(zones) == {"America/New_York", ""}
    assert {"gameStateUpdate", "standard/newTrade", "newChatMessage", "gameStatePlayerUpdate", "connect"} <= set(events)


@pytest.fixture(scope="module")
def every_format() -> dict[str, bytes]:
    return files_of_every_format(5)


@pytest.mark.slow
def test_there_is_a_recording_of_every_format(every_format: dict[str, bytes], tmp_path: Path) -> None:
    formats: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    doc_types: set[str] = set()
    write_files(tmp_path, every_format)
    for name in every_format:
        try:
            recording, counts, envelopes = read_file(tmp_path / name)
        except UnknownFormatError as error:
            refused[str(error).split(",", maxsplit=1)[0]] += 1
            continue
        formats[recording.format.id] += 1
        assert counts.records > 0
        assert counts.rejected == (recording.format.id == "F14")
        doc_types |= {envelope["doc_type"] for envelope in envelopes}
    numbers = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16}
    assert formats == {f"F{number}": {4: 2, 8: 3}.get(number, 1) for number in numbers}
    assert formats.keys() == {format_.id for format_ in FORMATS}
    assert refused == {"F11": 2, "F13": 1}
    known = {"game_tick", "player_action", "ws_event", "system_event", "server_state", "game", "reject"}
    assert doc_types <= known
    assert doc_types >= known - {"server_state"}


@pytest.mark.slow
def test_recordings_of_every_format_are_the_same_each_time(every_format: dict[str, bytes]) -> None:
    assert files_of_every_format(5) == every_format


@pytest.mark.slow
def test_single_frames_compress_like_real_ones(captures: list[bytes]) -> None:
    compress = zstandard.ZstdCompressor(level=3).compress
    ratio = sum(map(len, captures)) / sum(len(compress(line)) for line in captures)
    assert ratio == pytest.approx(REAL_FRAME_RATIO, rel=0.1)


@pytest.mark.slow
def test_whole_captures_compress_like_real_ones(captures: list[bytes]) -> None:
    content, page = b"\n".join(captures), 8 << 20
    compress = zstandard.ZstdCompressor(level=9).compress
    compressed = sum(len(compress(content[start : start + page])) for start in range(0, len(content), page))
    assert len(content) / compressed == pytest.approx(REAL_CAPTURE_RATIO, rel=0.2)


@pytest.mark.slow
def test_frames_have_the_sizes_of_real_ones(captures: list[bytes]) -> None:
    sizes: dict[int, list[int]] = {}
    for line in captures:
        record = json.loads(line)
        if record["event"] == "gameStateUpdate":
            sizes.setdefault(len(record["data"]), []).append(len(line))
    assert sorted(sizes) == [7, 14, 21, 36]
    mean = {keys: sum(some) / len(some) for keys, some in sizes.items()}
    assert mean[7] == pytest.approx(3620, rel=0.2)
    assert mean[21] == pytest.approx(4967, rel=0.2)
    assert mean[36] == pytest.approx(391_123, rel=0.3)
    share_of_full = sum(sizes[36]) / sum(map(len, captures))
    assert share_of_full == pytest.approx(0.47, abs=0.12)


@pytest.mark.slow
def test_a_game_keeps_what_was_promised_before(states: list[dict[str, Any]]) -> None:
    promised = {state["gameId"]: state["provablyFair"]["serverSeedHash"] for state in states}
    told = {past["id"]: past for state in states for past in state.get("gameHistory", ())}
    assert len(told) > 60
    for past in told.values():
        fair = past["provablyFair"]
        assert sha256(fair["serverSeed"].encode()).hexdigest() == fair["serverSeedHash"]
        assert promised.get(past["id"], fair["serverSeedHash"]) == fair["serverSeedHash"]
        assert past["peakMultiplier"] == max(past["prices"])
    assert promised.keys() & told.keys()


@pytest.mark.slow
def test_states_say_what_real_ones_say(states: list[dict[str, Any]]) -> None:
    full = [state for state in states if len(state) == 36]
    assert Counter("prices" in state for state in full).keys() == {True, False}
    for state in states:
        assert state["allowPreRoundBuys"] == (100 <= state["cooldownTimer"] <= 10_000)
        assert state.get("active", True) or not state.get("rugged", False)


@pytest.mark.slow
def test_ticks_are_those_of_the_old_recorder() -> None:
    lines = list(islice(tick_lines(3), 4000))
    assert list(islice(tick_lines(3), 4000)) == lines
    records = [json.loads(line) for line in lines]
    ticks = [record for record in records if record["type"] == "tick"]
    assert {tuple(tick) for tick in ticks} == {
        ("type", "timestamp", "game_id", "tick", "price", "phase", "active", "rugged", "cooldown_timer", "trade_count")
    }
    cooling = [tick for tick in ticks if tick["cooldown_timer"] > 0]
    made_up = [tick for tick in cooling if type(tick["price"]) is float]
    assert {tick["price"] for tick in cooling} == {1}
    assert len(made_up) / len(cooling) > 0.95
    assert all(type(tick["price"]) is int or tick["price"] != 1 for tick in ticks if tick["cooldown_timer"] == 0)
    assert {tick["phase"] for tick in ticks} == {
        "UNKNOWN",
        "PRESALE",
        "GAME_ACTIVATION",
        "ACTIVE_GAMEPLAY",
        "RUG_EVENT_1",
    }
    rugged = Counter(tick["game_id"] for tick in ticks if tick["rugged"])
    assert set(list(rugged.values())[:-1]) == {2}
    assert 200 < sum(map(len, lines)) / len(lines) < 260


@pytest.mark.slow
def test_frames_go_on_without_end() -> None:
    lines = list(islice(frame_lines(1), 1100))
    assert [json.loads(line)["event"] for line in lines].count("connect") == 3
    assert list(islice(frame_lines(1), 50)) == lines[:50]
    assert next(frame_lines(2)) != lines[0] or list(islice(frame_lines(2), 5)) != lines[:5]
