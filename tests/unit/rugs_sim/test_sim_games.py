"""The simulator's made-up games: what is said, when, and that the same seed says the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from itertools import islice, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_feed import frames
from rugs_feed.derive import Derived, Deriver, Heard
from rugs_feed.frames import Frame
from rugs_feed.normalise import normalise_frame
from rugs_proto import ids
from rugs_proto.envelope import Envelope
from rugs_sim import Games
from rugs_sim.show import Cue, Message, encode
from tests.support.completeness import completeness
from tests.support.examples import examples

KEY_SETS = {
    7: "gameId cooldownTimer cooldownPaused allowPreRoundBuys leaderboard connectedPlayers provablyFair",
    14: "active price rugged tickCount cooldownTimer cooldownPaused pauseMessage allowPreRoundBuys leaderboard gameId"
    " connectedPlayers gameVersion partialPrices provablyFair",
    21: "active price partialPrices tradeCount rugged tickCount cooldownTimer cooldownPaused pauseMessage"
    " allowPreRoundBuys averageMultiplier count2x count10x count50x count100x leaderboard gameId connectedPlayers"
    " rugpool rugRoyale provablyFair",
}
TRACED = {"standard/newTrade", "newChatMessage", "battleEventUpdate", "goldenHourUpdate", "goldenHourDrawing"}


def messages_of(cues: Sequence[Cue]) -> list[Message]:
    return [message for cue in cues for message in cue.messages]


def stream(messages: Sequence[Message]) -> list[Heard]:
    """Stored frames, one after the other."""
    heard = []
    for seq, raw in enumerate(messages, 1):
        event = normalise_frame(frames.decode(raw)).event
        event_id = ids.event_id("public_ws", "s", seq, raw)
        ts = 1_767_225_600_000_000 + seq
        heard.append(Heard(event_id, ts, ts, "public_ws", "s", seq, "received", event, raw))
    return heard


def derived(messages: Sequence[Message]) -> tuple[list[Derived], Deriver]:
    deriver = Deriver()
    rows = [row for heard in stream(messages) for row in deriver.feed(heard)]
    return rows, deriver


def states_of(messages: Sequence[Message]) -> list[dict[str, Any]]:
    decoded = map(frames.decode, messages)
    return [frame.payload for frame in decoded if frame.event == "gameStateUpdate"]


@pytest.fixture(scope="module")
def cues() -> list[Cue]:
    return list(Games(seed=11, games=6).play().cues())


@pytest.fixture(scope="module")
def messages(cues: list[Cue]) -> list[Message]:
    return messages_of(cues)


@pytest.fixture(scope="module")
def decoded(messages: list[Message]) -> list[Frame]:
    return [frames.decode(message) for message in messages]


def test_the_same_seed_plays_the_same_whoever_watches(cues: list[Cue]) -> None:
    show = Games(seed=11, games=6).play()
    again = []
    for number, cue in enumerate(show.cues(), 1):
        again.append(cue)
        if number % 50 == 0:
            seat = show.seat(number)
            assert seat.welcome()
            seat.ask("authenticate", ())
            seat.ask("buyOrder", ({"amount": 0.1},))
            seat.beside_state()
    assert again == cues
    assert messages_of(list(islice(Games(seed=12).play().cues(), 50))) != messages_of(cues[:50])


def test_time_never_goes_back_and_goes_as_the_feed_does(cues: list[Cue]) -> None:
    at = [cue.at for cue in cues]
    assert at == sorted(at)
    told = [(cue.at, state) for cue in cues for state in states_of(cue.messages)]
    pairs = [(before, after, now - then) for (then, before), (now, after) in pairwise(told)]
    ticks = [gap for before, after, gap in pairs if len(before) == len(after) == 21 and not after["rugged"]]
    countdown = [gap for before, after, gap in pairs if len(before) == len(after) == 7]
    assert sum(ticks) / len(ticks) == pytest.approx(252_500, rel=0.05)
    assert sum(countdown) / len(countdown) == pytest.approx(102_000, rel=0.05)


def test_every_game_is_whole_and_no_check_fails(messages: list[Message]) -> None:
    rows, deriver = derived(messages)
    assert deriver.tally.failures == {}
    assert not [name for name in deriver.tally.counts if "undigested" in name]
    known = completeness(rows)
    watched = [game for game in known.values() if game.direct and game.ended]
    assert len(watched) == 6
    assert all(game.complete and game.filled_ticks == 0 for game in watched)
    assert deriver.tally.counts["check.history_prices.held"] == 6
    assert deriver.tally.counts["check.seed_kept.held"] == 6
    for row in rows:
        Envelope.model_validate(row)


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 40, 300, 500, 900])
def test_whoever_comes_later_gets_every_tick_as_well(after: int) -> None:
    show = Games(seed=4, games=2).play()
    cues = show.cues()
    watched = list(islice(cues, after))
    welcome = show.seat(1).welcome()
    rest = messages_of(list(cues))
    rows, deriver = derived([*welcome, *rest])
    assert deriver.tally.failures == {}
    told_before = {state["gameId"] for state in states_of(messages_of(watched))}
    known = completeness(rows)
    assert all(game.complete for game in known.values() if game.direct and game.ended)
    first = states_of(welcome)[0]
    assert len(first) == 36
    assert "prices" in first
    assert not told_before or first["gameId"] in told_before | {states_of(rest)[0]["gameId"]}


def test_game_states_have_the_five_key_sets(messages: list[Message]) -> None:
    full = states_of(Games(seed=1).play().seat(1).welcome())
    states = [*states_of(messages), *full]
    by_size = Counter(map(len, states))
    assert set(by_size) == {7, 14, 21, 36}
    assert {"prices" in state for state in states if len(state) == 36} == {True, False}
    assert by_size[14] == 6
    for state in states:
        if len(state) in KEY_SETS:
            assert list(state) == KEY_SETS[len(state)].split()
        else:
            assert len(state["gameHistory"]) == 10


def test_game_states_say_what_the_real_ones_say(messages: list[Message]) -> None:
    for state in states_of(messages):
        assert state["allowPreRoundBuys"] == (100 <= state["cooldownTimer"] <= 10_000)
        assert state["cooldownTimer"] % 100 == 0
        assert "serverSeed" not in state["provablyFair"]
        if state.get("rugged"):
            assert state["active"] is True
            assert state["price"] < 0.021
        for past in state.get("gameHistory", ()):
            fair = past["provablyFair"]
            assert sha256(fair["serverSeed"].encode()).hexdigest() == fair["serverSeedHash"]
            assert past["peakMultiplier"] == max(past["prices"])
            assert past["globalTrades"] == []


def test_prices_come_five_ticks_at_a_time(messages: list[Message]) -> None:
    for state in states_of(messages):
        if (partial := state.get("partialPrices")) is not None:
            last = partial["endTick"]
            assert partial["startTick"] == max(0, last - 4)
            assert list(partial["values"]) == [str(tick) for tick in range(partial["startTick"], last + 1)]
            assert partial["values"][str(last)] == state["price"]
            assert state["rugged"] or last == state["tickCount"]


def test_the_end_of_a_game_is_told_twice(messages: list[Message]) -> None:
    ends: dict[str, list[tuple[int, int]]] = {}
    for state in states_of(messages):
        if state.get("rugged"):
            ends.setdefault(state["gameId"], []).append((len(state), state["tickCount"]))
    assert len(ends) == 6
    for (first, tick), (second, late) in ends.values():
        assert (first, second) == (21, 36)
        assert late - tick in (1, 2)


def test_messages_have_the_sizes_of_real_ones(messages: list[Message]) -> None:
    sizes: dict[int, list[int]] = {}
    for message in messages:
        for state in states_of([message]):
            sizes.setdefault(len(state), []).append(len(message))
    mean = {keys: sum(some) / len(some) for keys, some in sizes.items()}
    assert 6_000 < mean[21] < 9_000
    assert mean[7] < 5_000
    assert 150_000 < mean[36] < 600_000
    assert 5_000 < sum(map(len, messages)) / len(messages) < 9_000


def test_events_go_by_the_feeds_names_and_traced_ones_have_their_trace(decoded: list[Frame]) -> None:
    assert all(frame.problem is None for frame in decoded)
    counted = Counter(frame.event for frame in decoded if frame.event is not None)
    assert counted["gameStateUpdate"] / sum(counted.values()) > 0.8
    assert {"standard/newTrade", "newChatMessage", "goldenHourUpdate", "battleEventUpdate"} <= set(counted)
    for frame in decoded:
        if frame.event in TRACED:
            assert frame.trace is not None
            assert len(frame.args) == 2
        elif frame.event in ("gameStateUpdate", "rugRoyaleUpdate"):
            assert frame.trace is None
            assert len(frame.args) == 1


def test_a_binary_event_goes_with_its_attachment(decoded: list[Frame]) -> None:
    places = [place for place, frame in enumerate(decoded) if frame.packet == "binary_event"]
    assert len(places) == 6
    for place in places:
        assert decoded[place].attachments == 1
        assert decoded[place].payload["image"] == {"_placeholder": True, "num": 0}
        assert decoded[place + 1].packet == "attachment"


def test_histories_can_be_without_prices() -> None:
    messages = messages_of(list(Games(seed=2, games=2, history_prices=False).play().cues()))
    histories = [state["gameHistory"] for state in states_of(messages) if "gameHistory" in state]
    assert histories
    assert not any("prices" in past for history in histories for past in history)
    rows, deriver = derived(messages)
    assert deriver.tally.failures == {}
    watched = [game for game in completeness(rows).values() if game.direct and game.ended]
    assert len(watched) == 2
    assert all(game.complete for game in watched)


def test_games_can_be_played_without_anything_beside_them() -> None:
    bare = messages_of(list(Games(seed=2, games=1, side_events=False).play().cues()))
    names = {frames.decode(message).event for message in bare}
    assert names == {"gameStateUpdate", "standard/newTrade", "newChatMessage"}
    whole = messages_of(list(Games(seed=2, games=1).play().cues()))
    assert [state["price"] for state in states_of(bare) if "price" in state] == [
        state["price"] for state in states_of(whole) if "price" in state
    ]


@pytest.mark.slow
@settings(max_examples=examples(10))
@given(seed=st.integers(0, 10**9))
def test_no_seed_breaks_an_invariant(seed: int) -> None:
    rows, deriver = derived(messages_of(list(Games(seed=seed, games=1).play().cues())))
    assert deriver.tally.failures == {}
    assert sum(game.complete for game in completeness(rows).values() if game.direct and game.ended) == 1


class TestPlayer:
    """One client of the made-up feed."""

    def seated(self, condition: str) -> tuple[Any, Any]:
        show = Games(seed=3).play()
        for cue in show.cues():
            for state in states_of(cue.messages):
                if condition == "playing" and state.get("tickCount", 0) == 5:
                    return show, show.seat(1)
                if condition == "cooldown" and state["cooldownTimer"] == 14_000:
                    return show, show.seat(1)
        raise AssertionError

    def test_it_is_nobody_until_it_authenticates(self) -> None:
        _, seat = self.seated("playing")
        assert seat.beside_state() == ()
        answer = seat.ask("authenticate", ({"__trace": True},))
        events = [frames.decode(message).event for message in answer.messages]
        assert events == ["playerUpdate", "usernameStatus", "mutedPlayers"]
        (own,) = seat.beside_state()
        assert frames.decode(own).event == "gameStatePlayerUpdate"
        assert "leaderboardEntry" not in frames.decode(own).payload

    def test_it_buys_and_sells(self) -> None:
        show, seat = self.seated("playing")
        seat.ask("authenticate", ())
        price = show.now().price
        bought = seat.ask("buyOrder", ({"__trace": True}, {"amount": 0.5}))
        assert bought.reply[0]["success"] is True
        assert bought.reply[0]["executedPrice"] == price
        (update,) = bought.messages
        said = normalise_frame(frames.decode(update))
        assert (said.event, said.fields["cash"], said.fields["total_invested"]) == ("playerUpdate", 4.5, 0.5)
        (own,) = seat.beside_state()
        said = normalise_frame(frames.decode(own))
        assert said.fields["position_qty"] == pytest.approx(0.5 / price, rel=1e-6)
        sold = seat.ask("sellOrder", ({"percentage": 100},))
        assert normalise_frame(frames.decode(sold.messages[0])).fields["position_qty"] == 0
        assert seat.ask("sellOrder", ()).reply[0]["success"] is False

    @pytest.mark.parametrize("amount", [None, "x", 0, -1, 6, float("nan"), float("inf"), [], {}])
    def test_it_cannot_buy_for_what_it_has_not(self, amount: object) -> None:
        _, seat = self.seated("playing")
        (reply,) = seat.ask("buyOrder", ({"amount": amount},)).reply
        assert reply["success"] is False

    def test_orders_wait_for_the_presale(self) -> None:
        _, seat = self.seated("cooldown")
        (reply,) = seat.ask("buyOrder", ({"amount": 0.1},)).reply
        assert reply["success"] is False

    def test_questions_are_answered_twice_and_unknown_ones_with_nothing(self) -> None:
        _, seat = self.seated("playing")
        answer = seat.ask("getLeaderboard", ({"period": "7d"},))
        (message,) = answer.messages
        assert frames.decode(message).args[1] == json.loads(json.dumps(answer.reply[0]))
        assert seat.ask("nobodyKnows", (1, 2, 3)) == ((), ())


def test_bytes_travel_as_attachments() -> None:
    text, one, two = encode("e", b"1", {"deep": b"2", "n": 1})
    assert (one, two) == (b"1", b"2")
    assert text == '452-["e",{"_placeholder":true,"num":0},{"deep":{"_placeholder":true,"num":1},"n":1}]'
    assert encode("e", "\ud800", 10**30)[0] == '42["e","\\ud800",1000000000000000000000000000000]'
