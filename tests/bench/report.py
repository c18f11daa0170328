"""The bench's figures as tables for people, each beside what is aimed at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.bench.endtoend import Passage
from tests.bench.measure import OfKind, Result
from tests.bench.recordings import FRAMES, TICKS

MB: Final = 1_000_000
MEMORY_LIMIT: Final = 350 * MB
REAL_SINGLE_RATIO: Final = 4.08
SINGLE_TOLERANCE: Final = 0.1
RATES: Final = {FRAMES: 10_000, TICKS: 60_000}
IMPORT_RATES: Final = {FRAMES: 60, TICKS: 50_000}
"""MB of raw captures a second, and lines of ticks."""
COMPACTION_RATES: Final = {FRAMES: 40_000, TICKS: 150_000}
"""Rows that one core compacts in a second: more than an import brings."""
RATIOS: Final = {FRAMES: 20.0, TICKS: 5.5}
"""Of files that were compressed as well as can be."""
_COLUMNS_SHOWN: Final = 12

Row = tuple[str, ...]


def show(result: Result, console: Console) -> None:
    """Print all tables."""
    for table in (
        _data(result),
        _speed(result),
        _processor(result),
        _stages(result),
        _codecs(result),
        _sizes(result),
        _columns(result),
        _memory(result),
        _importer(result),
    ):
        console.print(table)
    console.print(_verdict(result))


def _table(title: str, header: Sequence[str], rows: Iterator[Row], note: str = "") -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", caption=note or None, caption_justify="left")
    for place, name in enumerate(header):
        table.add_column(name, justify="right" if place else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _judged(value: float, aim: float, text: str, *, at_most: bool = False) -> str:
    reached = value <= aim if at_most else value >= aim
    return text if reached else f"{text} MISSED"


def _data(result: Result) -> Table:
    machine = result.machine

    def rows() -> Iterator[Row]:
        for kind, each in result.kinds.items():
            near = abs(each.single_ratio / REAL_SINGLE_RATIO - 1) <= SINGLE_TOLERANCE
            aim = f"real: {REAL_SINGLE_RATIO}, {'within' if near else 'NOT within'} 10%" if kind == FRAMES else ""
            origin = "real" if each.are_real else "made up"
            size = f"{each.bytes / each.lines:,.0f} B"
            yield kind, origin, str(each.files), f"{each.lines:,}", size, f"{each.single_ratio:.2f}", aim

    note = (
        f"{machine.cores} cores (load {machine.load:.1f} at the start), Python {machine.python}, "
        f"512 KiB written and fsynced in {machine.fsync_ms:.1f} ms, "
        + ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    )
    header = ("recordings", "", "files", "lines", "a line", "zstd-3 of single lines", "aim")
    return _table("What is recorded", header, rows(), note)


def _speed(result: Result) -> Table:
    def rows() -> Iterator[Row]:
        for kind, each in result.kinds.items():
            live, late, late_upkeep, aim = each.live, each.backlog, each.upkeep, RATES[kind]
            yield (
                f"{kind}: publish to commit, all at once",
                *_rate(live.events, live.raw_bytes, live.seconds),
                _judged(live.rate, aim, f"{aim:,}"),
                f"{live.steady:,.0f}/s without first and last commit; {live.batch:,.0f} a commit",
            )
            yield (
                f"{kind}: writer catching up",
                *_rate(late.events, late.raw_bytes, late.seconds),
                "",
                f"{late.steady:,.0f}/s without its start",
            )
            yield (
                f"{kind}: compaction, a second of one core",
                f"{late_upkeep.compaction_rate:,.0f}",
                f"{late_upkeep.compaction_rate * late.raw_bytes / late.events / MB:,.1f}",
                _judged(late_upkeep.compaction_rate, COMPACTION_RATES[kind], f"{COMPACTION_RATES[kind]:,}"),
                f"{late_upkeep.rewritten:,} rows rewritten of {late_upkeep.rows:,}",
            )
            yield (
                f"{kind}: publish alone, fsynced",
                *_rate(late.events, late.raw_bytes, late.published),
                "",
                _sent(late),
            )
            single = each.singly
            yield (
                f"{kind}: publish to commit, one a message",
                *_rate(single.events, single.raw_bytes, single.seconds),
                "",
                _sent(single),
            )
            for method, told in (("parquet", "Parquet, no bus"), ("jsonl", "JSON lines, no bus")):
                other = each.direct[method]
                speed = _rate(other.events, other.raw_bytes, other.seconds)
                yield (
                    f"{kind}: {told}",
                    *speed,
                    "",
                    f"one process, no guarantee; {other.batch:,} an fsync, peak {other.peak / MB:,.0f} MB",
                )

    note = "MB of what was received (raw). Clocks stop when the last commit is announced, its wait included."
    return _table("Speed", ("", "events/s", "MB/s", "aim", ""), rows(), note)


def _rate(events: int, size: int, seconds: float) -> tuple[str, str]:
    return f"{events / seconds:,.0f}", f"{size / seconds / MB:,.1f}"


def _sent(passage: Passage) -> str:
    return f"{passage.events / passage.messages:,.0f} events to a message"


def _processor(result: Result) -> Table:
    cores = result.machine.cores

    def rows() -> Iterator[Row]:
        for kind, each in result.kinds.items():
            for name, passage in (("all at once", each.live), ("one a message", each.singly)):
                spent = {process: seconds / passage.events * 1e6 for process, seconds in passage.cpu.items()}
                total = sum(spent.values())
                yield (
                    f"{kind}, {name}",
                    *(f"{spent[process]:.1f}" for process in ("publisher", "broker", "writer")),
                    f"{total:.1f}",
                    f"{passage.seconds / passage.events * 1e6:.1f}",
                    f"{sum(passage.cpu.values()) / passage.seconds / cores:.0%}",
                    f"{passage.others / passage.seconds / cores:.0%}",
                    f"{cores * 1e6 / total:,.0f}/s",
                )

    header = ("µs an event", "publisher", "broker", "writer", "CPU", "wall", "cores used", "by others", "cores' limit")
    note = "By others: other programs on this machine. The cores' limit is what they could do with this work alone."
    return _table("Where the time goes: processes", header, rows(), note)


def _stages(result: Result) -> Table:
    def rows() -> Iterator[Row]:
        kinds = [result.kinds[FRAMES], result.kinds[TICKS]]
        for name in kinds[0].stages.writer:
            yield name, *(f"{each.stages.writer[name]:.1f}" for each in kinds)
        others = [each.live.cpu["writer"] / each.live.events * 1e6 - sum(each.stages.writer.values()) for each in kinds]
        yield "receive, event loop, start (the rest)", *(f"{other:.1f}" for other in others)
        yield "a commit in wall time, fsyncs included", *(f"{each.stages.commit_wall:.1f}" for each in kinds)

    return _table("Where the time goes: the writer", ("µs of CPU an event", FRAMES, TICKS), rows())


def _codecs(result: Result) -> Table:
    def rows() -> Iterator[Row]:
        kinds = [result.kinds[FRAMES], result.kinds[TICKS]]
        for name in kinds[0].stages.codecs:
            yield name, *(f"{each.stages.codecs[name]:.1f}" for each in kinds)

    return _table("Codecs", ("µs an event", FRAMES, TICKS), rows())


def _sizes(result: Result) -> Table:
    def rows() -> Iterator[Row]:
        for kind, each in result.kinds.items():
            sizes, aim = each.sizes, RATIOS[kind]
            yield f"{kind}: JSONL", f"{sizes.jsonl / MB:,.2f}", "1.0", "", f"{each.files} files"
            yield f"{kind}: gzip", *_weight(sizes.jsonl, sizes.gzip), "", "each file by itself"
            for level, size in sizes.zstd.items():
                yield f"{kind}: zstd-{level}", *_weight(sizes.jsonl, size), "", "all files as one"
            yield f"{kind}: lake as flushed", *_weight(sizes.jsonl, sizes.lake), "", f"{sizes.lake_files} files"
            yield (
                f"{kind}: lake compacted",
                *_weight(sizes.jsonl, sizes.compacted),
                "",
                _compressed(sizes.compacted, sizes.rows, sizes.upkeep.compaction_rate),
            )
            best = sizes.best
            yield (
                f"{kind}: lake compacted, the best",
                *_weight(sizes.jsonl, best.bytes),
                _judged(sizes.jsonl / best.bytes, aim, f"{aim}"),
                _compressed(best.bytes, sizes.rows, best.rows / best.cpu),
            )
            yield f"{kind}: catalog", *_weight(sizes.jsonl, sizes.catalog), "", "with its history"

    header = ("", "MB", "times smaller", "aim", "")
    note = "The lake keeps raw, ids, typed columns and origin. gzip and zstd keep the lines alone."
    return _table("Bytes on disk", header, rows(), note)


def _compressed(size: int, rows: int, rate: float) -> str:
    return f"{size / rows:.1f} B a row, {rate:,.0f} rows a second of one core"


def _weight(before: int, after: int) -> tuple[str, str]:
    return f"{after / MB:,.2f}", f"{before / after:.1f}"


def _columns(result: Result) -> Table:
    def rows() -> Iterator[Row]:
        kinds = [list(result.kinds[kind].sizes.columns.items()) for kind in (FRAMES, TICKS)]
        for place in range(_COLUMNS_SHOWN):
            yield tuple(text for columns in kinds for text in (columns[place][0], f"{columns[place][1]:.2f}"))
        yield tuple(
            text for columns in kinds for text in ("the others", f"{sum(size for _, size in columns[place + 1 :]):.2f}")
        )

    return _table("Bytes a row by column, compacted", (FRAMES, "B", TICKS, "B"), rows())


def _memory(result: Result) -> Table:
    def row(name: str, found: Sequence[int]) -> Row:
        highest = max(found)
        cells = (f"{each / MB:,.0f}" for each in found)
        return name, *cells, _judged(highest, MEMORY_LIMIT, f"{MEMORY_LIMIT / MB:.0f}", at_most=True)

    def rows() -> Iterator[Row]:
        kinds = list(result.kinds.values())
        yield row("parquet-writer, all at once", [each.live.peak["writer"] for each in kinds])
        yield row("parquet-writer, backlog", [each.backlog.peak["writer"] for each in kinds])
        yield row("parquet-writer, import", [each.imported.peak["writer"] for each in kinds])
        upkeep = [(each.upkeep, each.sizes.upkeep) for each in kinds]
        yield row("compaction in the background", [max(each.background_peak for each in both) for both in upkeep])
        yield row("legacy-importer", [each.imported.peak["importer"] for each in kinds])
        yield row("nats-server, all at once", [each.live.peak["broker"] for each in kinds])
        yield row("nats-server, backlog", [each.backlog.peak["broker"] for each in kinds])
        yield row("nats-server, import", [each.imported.peak["broker"] for each in kinds])
        for name, command in (("rugs compact", "command_peak"), ("rugs verify", "verify_peak")):
            peaks = (max(getattr(each, command) for each in both) for both in upkeep)
            yield f"{name}, which is no service", *(f"{peak / MB:,.0f}" for peak in peaks), ""

    return _table("Memory: most ever resident", ("MB", FRAMES, TICKS, "aim at most"), rows())


def _importer(result: Result) -> Table:
    cores = result.machine.cores

    def rows() -> Iterator[Row]:
        for kind, each in result.kinds.items():
            done = each.imported
            spent, aim = sum(done.cpu.values()), IMPORT_RATES[kind]
            rate, unit = (done.bytes / MB, "MB/s") if kind == FRAMES else (done.lines, "lines/s")
            cpu = ", ".join(f"{name} {seconds / done.lines * 1e6:.0f}" for name, seconds in done.cpu.items())
            yield (
                f"{kind}: imported",
                *_rate(done.lines, done.bytes, done.seconds),
                _judged(rate / done.seconds, aim, f"{aim:,} {unit}"),
                f"{rate / spent * cores:,.0f} {unit}",
                f"{spent / done.seconds / cores:.0%} (others {done.others / done.seconds / cores:.0%})",
                f"µs a line: {cpu}",
            )
            for other in each.instead:
                yield (
                    f"{kind}: {other.method}, no bus",
                    *_rate(done.lines, done.bytes, other.seconds),
                    "",
                    "",
                    f"{other.cpu / other.seconds / cores:.0%}",
                    f"no guarantee; Parquet {other.size / MB:,.1f} MB, peak {other.peak / MB:,.0f} MB",
                )

    header = ("from file to committed", "lines/s", "MB/s", "aim", "cores' limit", "cores used", "")
    note = (
        "Hashing, reading, understanding, publishing, committing, comparing counts: from the command's start to its"
        " end. The cores' limit is what they could do with this work alone."
    )
    return _table("Importer", header, rows(), note)


def _verdict(result: Result) -> str:
    whole = sum(each.upkeep.rows + each.sizes.upkeep.rows for each in result.kinds.values())
    lines = [f"verify: every lake is whole, {whole:,} rows in all. The bench took {result.seconds:.0f} s."]
    for kind, each in result.kinds.items():
        if each.live.rate < RATES[kind]:
            lines.append(f"{kind}: {each.live.rate:,.0f}/s, {RATES[kind]:,} aimed at. {_why(each, result)}")
    return "\n".join(lines)


def _why(each: OfKind, result: Result) -> str:
    """Say whether the processor or waiting is what a missed speed is owed to."""
    live, cores = each.live, result.machine.cores
    ours, others = (cpu / live.seconds / cores for cpu in (sum(live.cpu.values()), live.others))
    greatest = max(live.cpu, key=lambda name: live.cpu[name])
    shares = f"of the cores, this took {ours:.0%} and other programs {others:.0%}"
    if live.cpu[greatest] / live.seconds > 0.9:
        return f"The {greatest} needs a whole core ({shares})."
    if ours + others > 0.85:
        return f"The cores were busy: {shares}."
    return f"Most of the rest was waiting for the disk: {shares}."
