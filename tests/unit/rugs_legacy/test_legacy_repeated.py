"""Games that more than one recording tells, whoever they were recorded by."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rugs_lake import LakeError
from rugs_legacy.recording import Counts, look_at, read
from rugs_legacy.repeated import repeated_games
from tests.support.exportkit import NEW_YORK, Shelf
from tests.support.lakekit import tick as stored_tick
from tests.support.legacy_lines import GAME, start, tick

OLD = "game_20981231_220000.jsonl"


def captured(number: int, phase: str, **changes: Any) -> dict[str, Any]:
    """A tick that was derived from a capture."""
    fields = {"tick": number, "price": 1.5, "phase": phase, "rugged": phase == "RUGGED"}
    return stored_tick(number, GAME, fields=fields, **changes)


def test_a_game_is_found_in_files_documents_and_captures(shelf: Shelf) -> None:
    rug = tick(9, rugged=True, phase="RUG_EVENT_1")
    path = shelf.file(OLD, [start(), *(tick(number) for number in range(5, 9)), rug, tick(1, game_id="another")])
    shelf.take_in(path)
    session = look_at(path, NEW_YORK).session_id
    assert repeated_games(shelf.root, [session]) == []

    live = [*(captured(number, "ACTIVE_GAMEPLAY") for number in (6, 7)), captured(9, "RUGGED")]
    again = [captured(7, "ACTIVE_GAMEPLAY", source="cdp"), captured(7, "PRESALE", source="cdp")]
    derived = [captured(8, "ACTIVE_GAMEPLAY", source="import", session_id="an imported capture")]
    shelf.put([*live, *again, *derived])
    meta = {"game_id": GAME, "start_time": "2099-01-01T03:00:00.593236"}
    document = shelf.file("20990101T030000_x.game.json", [json.dumps({"meta": meta, "prices": ["1.0"] * 6}).encode()])
    shelf.put(read(look_at(document, NEW_YORK), Counts()))

    (found,) = repeated_games(shelf.root, [session])
    assert (found["game_id"], found["repeated"]) == (GAME, 5)
    told = [(one["file"], one["source"], one["ticks"], one["repeated"]) for one in found["files"]]
    assert told == [
        (document.name, "import", 6, 1),
        (OLD, "import", 5, 5),
        (None, "cdp", 2, 1),
        (None, "import", 1, 1),
        (None, "public_ws", 3, 3),
    ]
    assert repeated_games(shelf.root, [look_at(document, NEW_YORK).session_id]) == [found]


def test_without_a_lake_nothing_can_be_said(shelf: Shelf) -> None:
    with pytest.raises(LakeError):
        repeated_games(shelf.folder / "nowhere", ["s"])
