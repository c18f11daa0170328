"""Writes recordings shaped like the real ones: for the demo, for tests, and without end for the bench.

`python -m rugs_sim.old_files.generate FOLDER` writes the set that the project ships; the same
bytes each time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Final

from rugs_sim.made_up.feed import Feed
from rugs_sim.old_files import other_recorders as other
from rugs_sim.old_files.recorders import cdp_capture, games, raw_capture, session

SECOND: Final = 1_000_000
START: Final = 1_764_640_800 * SECOND
"""2025-12-02T02:00:00Z: evening in New York, where it is still the first."""
HOUR: Final = 3600 * SECOND
CAPTURE_LINES: Final = 500
"""Lines of an ordinary raw capture: a minute or two. How well a capture compresses depends on it."""


def frame_lines(seed: int) -> Iterator[bytes]:
    """Give lines of raw captures (F9) without end, one capture of ordinary length after the other."""
    for number in count():
        yield from raw_capture(Feed(seed * 1_000_003 + number, START + number * HOUR), CAPTURE_LINES)


def tick_lines(seed: int) -> Iterator[bytes]:
    """Give lines of per-game files (F1) without end."""
    for game in games(Feed(seed, START), numbered=True):
        yield from game


def demo_files() -> dict[str, bytes]:
    """Return the recordings that the project ships, by path."""
    files: dict[str, bytes] = {}

    def add_games(number: int, seed: int, **generation: bool) -> tuple[list[bytes], list[bytes]]:
        first, second = islice(games(Feed(seed, START + number * HOUR), **generation), 2)
        return first, second

    first, second = add_games(0, 12)
    files[_game_name(first)] = _joined(first)
    files[_game_name(second)] = _joined(_written_over(second))
    first, second = add_games(1, 35, numbered=True)
    files[_game_name(first, suffix=True)] = _joined(first)
    files[_game_name(second, suffix=True)] = _joined(_annotated(second))
    first, second = add_games(2, 43, numbered=True, with_status=True)
    files[_game_name(first, suffix=True)] = _joined(first)
    files[_game_name(second, suffix=True)] = _joined(second[:-1])[:-40]  # the recorder was killed
    files["session_20251202_000000.jsonl"] = _joined(session(Feed(15, START + 3 * HOUR), "20251202_000000", 2))
    files = {f"rugs_recordings/{name}": content for name, content in files.items()}
    files["raw_captures/2025-12-02_01-00-00_raw.jsonl"] = _joined(raw_capture(Feed(13, START + 4 * HOUR), 60))
    files["raw_captures/2025-12-02_01-30-00_raw.jsonl"] = b""  # a recorder that was stopped before anything came
    into_cooldown = cdp_capture(Feed(137, START + 5 * HOUR), 104, skip=202)
    files["raw_captures/2025-12-02_02-00-00_cdp.jsonl"] = _joined(into_cooldown)
    return files


def files_of_every_format(seed: int) -> dict[str, bytes]:
    """Return small recordings of every old format, and of what lies beside them, by path."""
    first, second = (other.ticks_of_a_game(Feed(seed, START), which) for which in (0, 1))
    feed = partial(Feed, seed + 1, START + HOUR)
    game, demo = first[0]["game_id"], "demonstrations/session_20251202_030000"
    f1 = next(games(Feed(seed, START), numbered=True))
    files: dict[str, bytes | Iterable[bytes]] = {
        _game_name(f1, suffix=True): f1,
        "session_20251201_210000.jsonl": session(Feed(seed + 2, START), "20251201_210000", 1),
        "game_20251201_210001_1.jsonl": other.recorder_sink(second),
        f"{demo}/game_001_{game}.jsonl": other.demonstration(first, "session_20251202_030000"),
        f"{demo}/session_metadata.json": other.session_metadata(first, "session_20251202_030000"),
        f"games/20251202T020000_{game[-16:-8]}.game.json": other.game_document(first),
        f"player/20251202T020000_{game[-16:-8]}_player.jsonl": other.player_actions(first),
        "demonstrations/20251202T020000_made-up_demo.json": other.player_session(first),
        "2025-12-02/games/second.game.json": other.game_document(second, unified=False),
        "2025-12-02/sessions/020000_made-up_session.json": other.player_session(second),
        "2025-12-02/index.json": other.daily_index(second, "second.game.json", "020000_made-up_session.json"),
        "raw_captures/2025-12-01_22-00-00_raw.jsonl": raw_capture(feed(), 30),
        "raw_captures/2025-12-01_22-30-00_cdp.jsonl": cdp_capture(feed(), 30, skip=200),
        "raw_captures/2025-12-01_22-30-00_cdp_events.json": b'{"event_types": {}, "total_events": 30}',
        "raw_captures/2025-12-01_22-30-00_summary.md": b"# Summary\n",
        "sandbox/websocket_raw_samples.jsonl": other.explorer_samples(feed(), 20),
        "golden_hour_20251201.jsonl": other.golden_hour(feed(), 20),
        "20251201_notebook.jsonl": other.notebook(feed(), 20),
        "cdp_captures/2025-12-01_22-00-00_gameStateUpdate_samples.json": other.event_array(feed(), 20),
        "recording_config.json": b'{"capture_mode": "game_state_only", "game_count": 1}',
    }
    return {name: content if isinstance(content, bytes) else _joined(content) for name, content in files.items()}


def write_demo(folder: Path) -> None:
    """Write the recordings that the project ships."""
    write_files(folder, demo_files())


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, by path, into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _game_name(lines: list[bytes], *, suffix: bool = False) -> str:
    """Return a file's name: the local time of its beginning, and in later generations the game's end."""
    start = json.loads(lines[0])
    began = datetime.fromisoformat(start["timestamp"])
    return f"game_{began:%Y%m%d_%H%M%S}{'_' + start['game_id'][-8:] if suffix else ''}.jsonl"


def _written_over(lines: list[bytes]) -> list[bytes]:
    """Damage lines as two recorders did that wrote to one file: each cut the other's short."""
    damaged = list(lines[:20])
    for first, size in ((20, 2), (22, 4), (26, 2), (28, 3), (31, 2)):
        cut = [line[:-1] for line in lines[first : first + size - 1]]
        joint = b'{"' if size % 2 == 0 else b""
        damaged += [joint.join([*cut, lines[first + size - 1]]), lines[first][len(lines[first]) // 3 :]]
    return [*damaged, *lines[33:]]


def _annotated(lines: list[bytes]) -> list[bytes]:
    """Add what somebody wrote into a recording by hand."""
    note = b"## these rows say UNKNOWN: they are the cooldown after the last game"
    return [*lines[:2], note, *lines[2:40], b"", b"## presale from here on", *lines[40:]]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: python -m rugs_sim.old_files.generate FOLDER", file=sys.stderr)
        sys.exit(2)
    write_demo(Path(sys.argv[1]))
