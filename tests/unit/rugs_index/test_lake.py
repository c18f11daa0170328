"""The chunks of the lake: made of its rows alone, whatever happened to it, in whatever order, however it is cut."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from rugs_discovery.current import end_of
from rugs_index.lake import Chunking, all_scopes, chunks_of
from rugs_index.lake_rows import LakeRows
from rugs_index.policy import parse
from rugs_index.scopes import game, hour, session
from rugs_lake.errors import LakeAbsentError, LakeUnavailableError
from rugs_lake.maintain.change import change, remove
from rugs_lake.read.files import FilesGoneError
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.paths import LakePaths
from tests.support import histories
from tests.support.examples import examples
from tests.support.indexkit import Follower, History, index_of, settled_envelopes, told
from tests.support.lakekit import NOON_US, commit, envelope, live_paths, message, open_writer, store, tick

FRAME = '42["gameStateUpdate",{"gameId":"g","price":1.5,"tickCount":3,"active":true,"connectedPlayers":77}]'
CHAT = '42["newChatMessage",{"username":"alice","message":"to the moon"}]'
STATE = {"price": 1.5, "tick": 3, "active": True, "phase": "ACTIVE_GAMEPLAY"}
ACTION = {"doc_type": "player_action", "event": "BUY", "source": "ui", "player_id": "did:1", "raw": ...}


def kinds(chunks: list[object]) -> list[str]:
    return sorted(chunk.metadata["kind"] for chunk in chunks)  # type: ignore[attr-defined]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A lake with a game, a chat message, an action without a game, and a line that could not be read."""
    frame = envelope(1, game_id="g", raw=FRAME, fields=STATE)
    chat = envelope(2, event="newChatMessage", raw=CHAT)
    acted = envelope(3, game_id="g", fields={"action": "buy", "amount": 0.5}, **ACTION)
    alone = envelope(4, fields={"action": "MAX"}, **ACTION)
    damaged = envelope(
        5, doc_type="reject", source="import", session_id="f", event="line", raw="{", fields={"reason": "cut"}
    )
    messages = [
        message(1, frame, chat),
        message(2, tick(3, "g", fields={**STATE, "tick": 3})),
        message(3, acted, alone),
    ]
    store(tmp_path, *messages, message(4, damaged))
    return tmp_path


def test_every_row_is_in_a_scope_and_gives_its_chunks(small: Path) -> None:
    index = index_of(small)
    assert {key: kinds([*chunks]) for key, chunks in index.items()} == {
        "game:g": ["game", "player_action", "ws_event"],
        "hour:public_ws/session-1@2026-06-01T12": ["ws_event"],
        "hour:ui/session-1@2026-06-01T12": ["player_action"],
        "session:import/f": ["session"],
        "session:public_ws/session-1": ["session"],
        "session:ui/session-1": ["session"],
    }
    by_kind = {chunk.metadata["kind"]: chunk for chunk in index["game:g"]}
    assert "Connected players: 77." in by_kind["game"].text
    assert by_kind["player_action"].owner == "did:1"
    assert by_kind["ws_event"].metadata["event_id"]
    assert "to the moon" in index["hour:public_ws/session-1@2026-06-01T12"][0].text
    assert "Damaged: 1 line" in index["session:import/f"][0].text


def test_a_scope_without_rows_is_given_without_chunks(small: Path) -> None:
    asked = [game("gone"), session("x", "y"), hour("x", "y", 3), game("g")]
    found = {scope: len(chunks) for scope, chunks in chunks_of(small, asked, end_of(small))}
    assert found == {game("gone"): 0, session("x", "y"): 0, hour("x", "y", 3): 0, game("g"): 3}


def test_rows_above_the_position_are_not_there(small: Path) -> None:
    before = end_of(small)
    index = index_of(small)
    writer = open_writer(small, at_cursor=message(4))
    commit(writer, message(9, envelope(50, game_id="new"), envelope(51, event="newChatMessage", raw=CHAT)))
    writer.close()
    assert told(index_of(small, position=before)) == told(index)
    assert all_scopes(small, end_of(small)) != all_scopes(small, before)


@pytest.mark.slow
def test_which_scopes_are_asked_for_together_changes_nothing(small: Path) -> None:
    at = end_of(small)
    whole = told(index_of(small))
    for scope in all_scopes(small, at):
        assert told(index_of(small, [scope])) == {key: found for key, found in whole.items() if key == scope.key}


def test_how_many_rows_wait_for_their_bytes_changes_nothing(small: Path) -> None:
    assert told(index_of(small, chunking=Chunking(waiting=1))) == told(index_of(small))


def test_the_policy_says_which_events_get_a_chunk_and_which_count(small: Path) -> None:
    chunking = Chunking(parse("newChatMessage=none"))
    found = index_of(small, chunking=chunking)
    assert "hour:public_ws/session-1@2026-06-01T12" not in found
    (summary,) = found["session:public_ws/session-1"]
    assert "newChatMessage" not in summary.text
    assert summary.metadata["events"] == 1


def test_a_lake_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(LakeAbsentError):
        index_of(tmp_path / "nothing", [game("g")], position=None)


def test_a_file_that_is_deleted_under_its_feet_is_an_error_and_no_hole(small: Path) -> None:
    at = end_of(small)
    with LakeRows(small, at, games=["g"]) as rows:
        for path in live_paths(small):
            path.unlink()
        with pytest.raises(FilesGoneError, match="begin again"):
            next(rows.of_games([game("g")]))
    with pytest.raises(LakeUnavailableError, match="cannot open the lake's files"):
        index_of(small, [game("g")], at)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scope", [ChangeScope(doc_type="ws_event"), ChangeScope(doc_type="player_action"), ChangeScope(game="g")]
)
def test_what_is_removed_or_corrected_leaves_the_index(small: Path, scope: ChangeScope) -> None:
    follower = Follower(small)
    follower.go_on()
    before = told(follower.index)
    with Catalog(LakePaths(small)) as catalog:
        change(catalog, "corrected", scope, histories.corrected)
        follower.go_on()
        assert told(follower.index) == told(index_of(small))
        remove(catalog, "removal", scope, refuses=False)
    follower.go_on()
    assert told(follower.index) == told(index_of(small))
    assert told(follower.index) != before


def test_an_hour_ends_with_the_hour(tmp_path: Path) -> None:
    last = NOON_US + 3_600_000_000 - 1
    chats = [envelope(n, event="newChatMessage", raw=CHAT, ts=last + n - 1) for n in (1, 2)]
    store(tmp_path, message(1, *chats))
    hours = [key for key in index_of(tmp_path) if key.startswith("hour:")]
    assert hours == ["hour:public_ws/session-1@2026-06-01T12", "hour:public_ws/session-1@2026-06-01T13"]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(examples(4)))
def test_the_order_of_arrival_and_the_cuts_change_nothing(tmp_path: Path, number: int) -> None:
    chance = Random(number)
    messages = [message(seq, each) for seq, each in enumerate(settled_envelopes(chance, 60), 1)]
    found = []
    for turn in range(2):
        chance.shuffle(messages)
        root, writer, waiting = tmp_path / str(turn), open_writer(tmp_path / str(turn)), list(messages)
        follower = Follower(root)
        while waiting:
            count, seq = chance.randint(1, 15), len(messages) - len(waiting)
            batch = [each._replace(seq=seq + place) for place, each in enumerate(waiting[:count], 1)]
            del waiting[:count]
            commit(writer, *batch)
            follower.go_on(chance.choice([5, 99]), chance.choice([0, 1, None]))
        writer.close()
        follower.go_on()
        assert told(follower.index) == told(index_of(root))
        found.append(told(follower.index))
    assert found[0] == found[1]


@pytest.mark.slow
def test_the_index_comes_to_what_it_is_from_nothing(tmp_path: Path) -> None:
    happened = histories.run(History, range(examples(10)), tmp_path)
    assert sum(count for step, count in happened.items() if step.startswith("follow"))


@pytest.mark.matrix
@pytest.mark.parametrize("first", range(0, 400, 25))
def test_the_index_in_hundreds_of_histories(tmp_path: Path, first: int) -> None:
    happened = histories.run(History, range(first, first + 25), tmp_path)
    print(f"histories {first} to {first + 24}: the chunks of nothing; {sum(happened.values())} steps")
