"""From publish to committed Parquet: side by side with the writer, and as a backlog that it finds at its start."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rugs_proto.subjects import TARGET_BODY
from tests.bench.processes import Partner, Stack, Usage, busy, stack
from tests.bench.recordings import Recordings
from tests.bench.upkeep import Upkeep, keep_up

ONE_EVENT: Final = 0
"""Size of messages that stands for one event each."""


@dataclass(frozen=True)
class Passage:
    """Events on their way into the lake.

    Attributes:
        seconds: from the first publish (backlog: from the writer's start) to the last commit.
        batch: events to a commit, on average.
        published: seconds until the broker had everything.
        steady: events per second between the first commit and the last: neither start nor last wait in it.
        cpu: CPU seconds of each process.
        others: CPU seconds that other programs took on this machine meanwhile.
        peak: the most memory of each process, in bytes.
    """

    events: int
    raw_bytes: int
    messages: int
    seconds: float
    published: float
    steady: float
    batch: float
    cpu: dict[str, float]
    others: float
    peak: dict[str, int]

    @property
    def rate(self) -> float:
        """Events per second, the wait for the last commit included."""
        return self.events / self.seconds


def side_by_side(recordings: Recordings, count: int, folder: Path, size: int = TARGET_BODY) -> Passage:
    """Publish while the writer writes; all processes share the machine."""
    with stack(folder) as running:
        running.start_writer()
        running.wait_for_writer()
        with _producer(running, recordings, count, size) as producer:
            producer.hear()
            before, all_before = running.used(), busy()
            producer.tell()
            published = producer.hear()
            commits = producer.hear()["commits"]
            passage = _passage(count, published, commits, before, running.used(), busy() - all_before)
    shutil.rmtree(folder, ignore_errors=True)
    return passage


def backlog(recordings: Recordings, count: int, folder: Path) -> tuple[Passage, Upkeep]:
    """Publish everything, then start the writer and let it catch up; compact and verify the lake it makes.

    Raises:
        RuntimeError: if the lake is not whole, or does not hold every event.
    """
    with stack(folder) as running, _producer(running, recordings, count, TARGET_BODY) as producer:
        producer.hear()
        producer.tell()
        published = producer.hear()
        before, all_before = running.used(), busy()
        running.start_writer()
        commits = producer.hear()["commits"]
        worked = busy() - all_before
        passage = _passage(count, published, commits, before, running.used(), worked, start=published["seconds"])
    upkeep = keep_up(folder)
    if upkeep.rows != count:
        raise RuntimeError(f"{count} events were published, and {upkeep.rows} are in the lake")
    shutil.rmtree(folder, ignore_errors=True)
    return passage, upkeep


def _producer(running: Stack, recordings: Recordings, count: int, size: int) -> Partner:
    told = (recordings.folder, recordings.kind, count, size)
    return Partner("-m", "tests.bench.producer", running.broker.url, *map(str, told))


def _passage(
    count: int,
    published: dict[str, Any],
    commits: list[tuple[float, int]],
    before: dict[str, Usage],
    after: dict[str, Usage],
    worked: float,
    start: float = 0.0,
) -> Passage:
    nothing = Usage(0.0, 0)
    cpu = {name: used.cpu - before.get(name, nothing).cpu for name, used in after.items()}
    if start == 0.0:
        cpu["publisher"] = published["cpu"]
    (first, first_rows), last = commits[0], commits[-1][0]
    return Passage(
        events=count,
        raw_bytes=published["raw_bytes"],
        messages=published["messages"],
        seconds=last - start,
        published=published["seconds"],
        steady=(count - first_rows) / (last - first) if last > first else count / (last - start),
        batch=count / len(commits),
        cpu=cpu,
        others=max(0.0, worked - sum(cpu.values())),
        peak={name: used.peak for name, used in after.items()},
    )
