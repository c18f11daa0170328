"""The corpus of the golden set: recordings of invented games, what is true of them, and a lake that holds them.

`facts()` is quick; `corpus()` plays everything, once a process. `write` gives the same bytes on every run and machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Final

from rugs_lake.store.paths import LakePaths
from rugs_lake.write.writer import LakeWriter
from rugs_legacy.recording import Counts, look_at, read
from tests.retrieval import plan, recordings
from tests.retrieval.plan_types import GamePlan
from tests.retrieval.play import GameFacts, Happened, Sent, at_tick, facts_of
from tests.retrieval.recordings import Envelope
from tests.support import lakekit

TIMEZONE: Final = "America/New_York"
"""Of the local times in the recordings."""
CAPTURES: Final = "raw_captures"
"""The folder of the captures of frames."""
_OUTAGE_MARGIN_US: Final = 2_000_000


@dataclass(frozen=True)
class Facts:
    """What is true of the corpus, whoever recorded it.

    Attributes:
        games: by stable name, in the order of their starts.
        happened: what questions refer to, by name.
    """

    games: Mapping[str, GameFacts]
    happened: Mapping[str, Happened]


@dataclass(frozen=True)
class Corpus:
    """What was recorded.

    Attributes:
        files: the recordings, by path below their folder.
        live: what was captured live, in order.
    """

    files: Mapping[str, bytes]
    live: tuple[Envelope, ...]


@cache
def facts() -> Facts:
    """Return what is true of the corpus; nothing is played for it."""
    games = sorted(map(facts_of, _plans()), key=lambda game: (game.start, game.name))
    by_name = {game.name: game for game in games}
    happened = {each.ref: each for game in games for each in game.happened}
    return Facts(by_name, happened | _actions(by_name))


@cache
def corpus() -> Corpus:
    """Play everything, and return what was recorded of it."""
    files: dict[str, bytes] = {}
    for each in (*plan.TICK_GAMES, *plan.filler_games()):
        name, lines = recordings.tick_file(facts().games[each.name])
        files[f"rugs_recordings/{name}"] = _joined(lines)
    live: list[Envelope] = []
    sessions = []
    for capture in plan.CAPTURES:
        sent = recordings.captured(capture)
        if capture.kind == "live":
            sessions.append((capture.name, sent))
            live += recordings.live_envelopes(sent, capture.name)
        else:
            lines_of = recordings.raw_file if capture.kind == "raw" else recordings.cdp_file
            files[f"{CAPTURES}/{capture.name}"] = _joined(lines_of(sent))
    return Corpus(files | _pressed_files(), (*live, *_outage(sessions), *_bot()))


def write(folder: Path) -> None:
    """Write the recordings into a folder."""
    for name, content in corpus().files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def correct_place(root: Path) -> None:
    """Let the catalog of a lake that was moved know where it is."""
    LakeWriter(LakePaths(root), lakekit.STREAM).close()


def build_lake(root: Path, folder: Path) -> None:
    """Make a lake under `root` of the recordings in a folder and of what was captured live, as the services would."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = [*map(_imported, found), corpus().live]
    groups = [group for envelopes in parts for group in _groups([*envelopes, *recordings.derived_from(envelopes)])]
    writer = lakekit.open_writer(root)
    try:
        lakekit.commit(writer, *(lakekit.message(seq, *group) for seq, group in enumerate(groups, 1)))
    finally:
        writer.close()


def _imported(path: Path) -> list[Envelope]:
    return list(read(look_at(path, TIMEZONE), Counts()))


def _groups(envelopes: Iterable[Envelope]) -> Iterable[list[Envelope]]:
    """Give envelopes that a message can hold together."""
    for _, group in groupby(envelopes, lambda each: (each["doc_type"], each["source"], each["session_id"])):
        yield list(group)


def _plans() -> Iterable[GamePlan]:
    yield from (*plan.TICK_GAMES, *plan.filler_games())
    for capture in plan.CAPTURES:
        yield from (capture.before, *capture.games)


def _outage(sessions: list[tuple[str, list[Sent]]]) -> list[Envelope]:
    """Return the outage between the two live sessions."""
    (first, before), (second, after) = sessions
    since, until = before[-1].at + _OUTAGE_MARGIN_US, after[0].at - _OUTAGE_MARGIN_US
    return recordings.outage_envelopes(first, since, second, until, plan.OUTAGE_CAUSE)


def _pressed_files() -> dict[str, bytes]:
    """Return the recordings of players who pressed buttons."""
    demonstrated, pressed = (facts().games[name] for name, _ in (plan.DEMONSTRATION, plan.PRESSED))
    demonstration = recordings.demonstration_file(demonstrated, plan.DEMONSTRATION[1])
    return {
        f"demonstrations/session_{demonstrated.id[:8]}/game_001_{demonstrated.id}.jsonl": _joined(demonstration),
        f"player/{pressed.id}_player.jsonl": _joined(recordings.pressed_file(pressed, plan.PRESSED[1])),
    }


def _bot() -> list[Envelope]:
    envelopes = []
    for seq, (name, order) in enumerate(plan.BOT_ORDERS, 1):
        game = facts().games[name]
        at = at_tick(game.start, order.tick)
        envelopes.append(recordings.bot_envelope(seq, at, game, order.kind, order.tick, order.amount))
    return envelopes


def _actions(games: Mapping[str, GameFacts]) -> dict[str, Happened]:
    """Return what players and the bot did, as they recorded it themselves."""
    found = {}
    for name, presses in (plan.DEMONSTRATION, plan.PRESSED):
        for press in presses:
            if press.ref:
                text = f"{press.button} {press.amount} SOL"
                at = at_tick(games[name].start, press.tick)
                found[press.ref] = Happened(press.ref, at, "player_action", name, "", text)
    for name, order in plan.BOT_ORDERS:
        at, text = at_tick(games[name].start, order.tick), f"{order.kind} {order.amount} SOL"
        found[order.ref] = Happened(order.ref, at, "player_action", name, order.player, text)
    return found


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
