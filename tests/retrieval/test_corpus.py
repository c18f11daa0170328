"""The corpus: the same bytes every time, facts that the lake confirms, and all that the feed sends."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import pytest

from rugs_discovery.messages import PACKET
from rugs_discovery.notes_file import shipped_meanings
from rugs_discovery.summary import Summary
from rugs_query.games import list_games
from rugs_sim.made_up.chance import Chance
from tests.retrieval import corpus as corpora
from tests.retrieval.corpus import corpus, facts
from tests.retrieval.curves import prices_of
from tests.retrieval.data_root import DataRoot
from tests.retrieval.discovered import summary_of_corpus
from tests.retrieval.game_conditions import games_where
from tests.retrieval.plan import OUTAGE_CAUSE
from tests.retrieval.questions import Question, all_questions
from tests.support import lakekit

DIGEST = "a2446494b92f2130d88d6f1d537ddddb213f80995e1ad2e52598022909d39761"
"""SHA-256 over all that was recorded: the same on every machine. A change of the generators changes it."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return DataRoot.made(tmp_path_factory.mktemp("retrieval")).root


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summary_of_corpus()


def test_a_curve_goes_through_its_points_and_stays_between_them() -> None:
    prices = prices_of("40:3.2 90:57.3 120", Chance(1))
    assert (prices[0], prices[40], prices[90], len(prices)) == (1, 3.2, 57.3, 121)
    assert max(prices) == 57.3
    assert prices.count(57.3) == 1
    assert min(prices[:-1]) == 1
    assert 0.002 <= prices[-1] < 0.02


def test_the_games_differ() -> None:
    games = facts().games.values()
    assert 60 <= len(games) <= 120
    assert len({game.id for game in games}) == len(games)
    assert len({game.day for game in games}) >= 10
    for least in (2, 10, 50, 100):
        assert sum(game.peak >= least for game in games) >= 3
    assert sum(game.rug_tick <= 5 for game in games) >= 5
    assert sum(game.ticks >= 600 for game in games) >= 3
    assert sum(game.low < 0.5 for game in games) >= 5


def test_games_of_one_recorder_do_not_overlap() -> None:
    games = list(facts().games.values())
    assert all(before.end < after.start for before, after in pairwise(games))


@pytest.mark.slow
def test_recordings_are_the_same_bytes_every_time() -> None:
    first = corpus()
    corpora.corpus.cache_clear()
    assert corpus() == first
    digest = hashlib.sha256()
    for name, content in sorted(first.files.items()):
        digest.update(name.encode() + content)
    digest.update(json.dumps(first.live).encode())
    assert digest.hexdigest() == DIGEST


@pytest.mark.slow
def test_the_lake_tells_of_the_games_what_is_true(lake: Path) -> None:
    told = {game.game_id: game for game in list_games(lake)}
    assert set(told) == {game.id for game in facts().games.values()}
    for game in facts().games.values():
        known = told[game.id]
        assert (known.peak, known.rugged) == (game.peak, True), game.name
        if known.ticks is not None:  # a history without prices says no more than the peak
            assert (known.ticks, known.complete or known.history_prices > 0) == (game.ticks, True), game.name
            assert known.history_prices or abs(known.last_us - game.end) < 2_000_000, game.name


@pytest.mark.slow
def test_the_lake_is_whole_and_has_what_happened(lake: Path) -> None:
    lakekit.checked(lake)
    assert lakekit.select(lake, "SELECT count(*) FROM reject") == [(0,)]
    assert [row[0] for row in lakekit.select(lake, "SELECT cause FROM outage")] == [OUTAGE_CAUSE]
    stored = lakekit.select(
        lake,
        "SELECT doc_type, event, game_id, coalesce(username, ''), epoch_us(ts), raw FROM events WHERE cause IS NULL",
    )
    for happened in facts().happened.values():
        game, is_action = facts().games[happened.game], happened.event == "player_action"
        near = [
            row
            for row in stored
            if abs(row[4] - happened.at) < 500_000
            and (row[0] == "player_action" if is_action else row[1] == happened.event)
            and row[2] in (None, game.id)
            and (happened.player in row[5] or not happened.player or row[3] == happened.player)
        ]
        assert len(near) == 1, (happened.ref, near)


@pytest.mark.slow
def test_discovery_finds_nearly_all_that_is_known_of_the_feed(summary: Summary) -> None:
    known = {field.path for event in summary.events.values() for field in event.all_fields}
    documented = set(shipped_meanings().fields)
    assert len(known & documented) >= 0.98 * len(documented), sorted(documented - known)
    events = {key.removeprefix(PACKET) for key in summary.events}
    assert set(shipped_meanings().events) <= events


@pytest.mark.slow
def test_every_field_and_event_that_is_expected_was_recorded(summary: Summary) -> None:
    pairs = {
        (event.key.removeprefix(PACKET), field.path) for event in summary.events.values() for field in event.all_fields
    }
    paths, events = {path for _, path in pairs}, {event for event, _ in pairs}
    for question in all_questions():
        for target in question.targets:
            if target.kind == "field":
                found = target.name in paths if target.event is None else (target.event, target.name) in pairs
                assert found, (question.id, target)
            if target.kind == "event":
                assert target.name in events, (question.id, target)


@pytest.mark.parametrize("question", [each for each in all_questions() if each.where is not None], ids=lambda q: q.id)
def test_the_games_that_a_question_expects_are_those_that_its_condition_means(question: Question) -> None:
    assert question.where is not None
    wanted = {target.name for target in question.targets if target.kind == "game"}
    assert games_where(facts().games, question.where) == wanted
