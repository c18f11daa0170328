"""`rugs discovery`: the reference of the feed that writes itself, and the proof that it leaves nothing out."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rugs_cli.output import AsJson, CommandError, counted, human_bytes, print_json, print_table
from rugs_cli.period import day
from rugs_cli.progress import progress_of

if TYPE_CHECKING:
    from rugs_discovery.drift import Drift
    from rugs_discovery.live import Live
    from rugs_discovery.scan import Scan
    from rugs_discovery.summary import Summary
    from rugs_discovery.verify import Report
    from rugs_runtime.settings import Settings

app = typer.Typer(help="What the feed sends: every event and field, documented, checked, and watched for changes.")

Paths = Annotated[list[Path], typer.Argument(help="Recordings: files, folders or patterns.", show_default=False)]
SomePaths = Annotated[list[Path] | None, typer.Argument(help="Recordings that were scanned.", show_default=False)]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write the documents into this folder.")]
Documents = Annotated[Path | None, typer.Option("--documents", metavar="DIR", help="Documents that a scan wrote.")]
Zone = Annotated[str, typer.Option("--timezone", help="Zone of times without one.")]
Depth = Annotated[int, typer.Option("--depth", min=1, max=100, help="Levels of objects and arrays to enter.")]
Processes = Annotated[int | None, typer.Option("--processes", min=1, help="Processes; one a core by default.")]
Context = Annotated[list[Path], typer.Option("--context", metavar="FILE", help="File with a section to refresh.")]
Seconds = Annotated[float | None, typer.Option("--seconds", min=0.1, help="End after so many seconds.")]
Since = Annotated[str | None, typer.Option("--since", metavar="DATE", help="Only what was first seen from then on.")]
Against = Annotated[Path | None, typer.Option("--against", metavar="FILE", help="Compare with this fields.json.")]
FailOn = Annotated[str | None, typer.Option("--fail-on", metavar="VERDICT", help="End with 1 if there is `breaking`.")]
Query = Annotated[list[str], typer.Argument(help="A field's path, a part of it, or words.", show_default=False)]
_SHOWN = 20


@app.command()
def scan(
    paths: Paths,
    out: Out = None,
    timezone: Zone = "UTC",
    depth: Depth = 10,
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Read recordings and list what they hold. Needs neither a stack nor the lake.

    A file whose content was read already counts once. The exit code is 1 if no file could be read.
    """
    from rugs_discovery import outputs
    from rugs_discovery.notes_file import load_meanings
    from rugs_discovery.scan import scan as scan_files
    from rugs_discovery.summary import summarise
    from rugs_runtime.settings import Settings

    root = Settings.load().data_dir
    found = _files(paths, root)
    with progress_of("scanning", in_bytes=True) as progress:
        done = scan_files(found, timezone=timezone, levels=depth, processes=processes, progress=progress)
    meanings = load_meanings(outputs.notes_of(root))
    summary = summarise(done.state, meanings.pins)
    if out is not None:
        outputs.write(out, summary, meanings, sources=done.sources)
    counts = {
        "files": len(done.counting),
        "skipped": len(done.sources) - len(done.counting),
        "lines": summary.lines,
        "events": summary.count,
        "event_types": len(summary.events),
        "fields": summary.fields,
        "paths": summary.paths,
        "errors": sum(summary.errors.values()),
        "truncated": summary.truncated,
        "bytes": summary.size,
        "seconds": round(done.seconds, 3),
        "out": None if out is None else str(out),
    }
    if as_json:
        print_json(counts)
    else:
        _show_scan(done, counts)
    if not done.counting:
        print("rugs: none of these files could be read", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def live(seconds: Seconds = None, out: Out = None, as_json: AsJson = False) -> None:
    """List what a running stack's feed sends from now on, until Ctrl-C or for --seconds; keeps nothing but --out."""
    from rugs_discovery import outputs
    from rugs_discovery.notes_file import load_meanings
    from rugs_discovery.summary import summarise
    from rugs_runtime.settings import Settings

    settings = Settings.load()
    heard = asyncio.run(_listen(settings, seconds))
    meanings = load_meanings(outputs.notes_of(settings.data_dir))
    summary = summarise(heard.state, meanings.pins)
    if out is not None:
        outputs.write(out, summary, meanings)
    counts: dict[str, Any] = {
        "events": summary.count,
        "event_types": len(summary.events),
        "fields": summary.fields,
        "paths": summary.paths,
        "missed": heard.missed,
        "out": None if out is None else str(out),
    }
    if as_json:
        print_json({**counts, "by_event": {key: event.count for key, event in summary.events.items()}})
        return
    if summary.events:
        rows = [(key, event.count, len(event.fields)) for key, event in summary.events.items()]
        print_table(rows, header=("event", "events", "fields"))
    print(f"{counted(counts['events'], 'event')}; {counted(summary.fields, 'field')}; missed: {heard.missed:,}")


async def _listen(settings: Settings, seconds: float | None) -> Live:
    import rugs_bus
    from rugs_discovery.live import Live
    from rugs_runtime.stack import running_stack
    from rugs_runtime.stopping import stop_on_signals

    info = running_stack(settings.data_dir)
    if info is None and settings.nats_url is None:
        raise CommandError("nothing is running: start it with `rugs up`")
    stop = stop_on_signals()
    if seconds is not None:
        asyncio.get_running_loop().call_later(seconds, stop.set)
    url = info.nats_url if info else settings.broker_url
    nc = await rugs_bus.connect(url, name="rugs-discovery", timeout=settings.connect_timeout)
    heard = Live()
    try:
        with progress_of("events") as progress:
            await heard.listen(nc, stop, lambda state: progress(state.lines, state.lines))
    finally:
        await nc.close()
    return heard


@app.command()
def build(as_json: AsJson = False) -> None:
    """Bring discovery up to what the lake has, and write the documents into DATA/discovery.

    Where the indexer runs, it does this all the time: then its result is waited for.
    """
    from rugs_discovery import outputs
    from rugs_discovery.current import build as bring_up
    from rugs_discovery.store import FOLDER, Store
    from rugs_runtime.settings import Settings

    root = Settings.load().data_dir
    with Store(root) as store, progress_of("reading rows") as progress:
        rows = bring_up(root, store, progress=lambda done: progress(done, done))
    summary, new = outputs.refresh(root)
    counts = {
        "rows": rows,
        "events": summary.count,
        "event_types": len(summary.events),
        "fields": summary.fields,
        "paths": summary.paths,
        "drift": len(new),
        "documents": str(root / FOLDER),
    }
    if as_json:
        print_json(counts)
        return
    kinds = counted(len(summary.events), "event type")
    print(f"{rows:,} new rows; {kinds}, {counted(summary.fields, 'field')}, {counted(summary.paths, 'distinct path')}")
    _show_drift(new)
    print(f"documents: {root / FOLDER / 'index.md'}")


@app.command()
def verify(paths: SomePaths = None, documents: Documents = None, as_json: AsJson = False) -> None:
    """Prove with other tools that the documents cover every event: DuckDB counts again, jsonschema-rs validates.

    Without arguments, of the lake; with --documents and paths, of what `rugs discovery scan --out` wrote.
    The exit code is 1 where anything is missing, and each thing is named.
    """
    from rugs_discovery.proof import verify_files, verify_lake
    from rugs_discovery.store import FOLDER
    from rugs_runtime.settings import Settings

    root = Settings.load().data_dir
    if paths and documents is None:
        raise typer.BadParameter("name the documents to check as well: --documents DIR")
    if documents is not None and not paths:
        raise typer.BadParameter("name the recordings that were scanned as well")
    with progress_of("verifying", in_bytes=documents is not None) as progress:
        if documents is not None and paths:
            report = verify_files(documents, _files(paths, root), progress)
        else:
            report = verify_lake(root, root / FOLDER, progress)
    if as_json:
        print_json(report.as_dict())
    else:
        _show_report(report)
    if report.total_findings:
        raise typer.Exit(1)


@app.command()
def docs(context: Context, as_json: AsJson = False) -> None:
    """Refresh the marked section of documents, and leave the rest of them alone: --context CONTEXT.md.

    The section stands between `<!-- rugs discovery: begin -->` and `<!-- rugs discovery: end -->`; where there is
    none, it is added at the end.
    """
    from rugs_discovery import outputs
    from rugs_discovery.context import refresh
    from rugs_discovery.notes_file import load_meanings
    from rugs_runtime.settings import Settings

    root = Settings.load().data_dir
    meanings = load_meanings(outputs.notes_of(root))
    summary = _summary(root)
    changed = {str(path): refresh(path, summary, meanings) for path in context}
    if as_json:
        print_json([{"file": name, "changed": is_new} for name, is_new in changed.items()])
        return
    for name, is_new in changed.items():
        print(f"{name}: {'refreshed' if is_new else 'already current'}")


@app.command()
def diff(since: Since = None, against: Against = None, fail_on: FailOn = None, as_json: AsJson = False) -> None:
    """List what has changed in the feed: new events, fields, types and values, and fields that have vanished.

    Without --since, everything that came up after discovery was first built. A new type of a known field and a
    vanished field are breaking; all else is additive.
    """
    from rugs_discovery.drift import ADDITIVE, BREAKING, compare
    from rugs_discovery.store import Store
    from rugs_runtime.settings import Settings

    if fail_on not in (None, ADDITIVE, BREAKING):
        raise typer.BadParameter(f"--fail-on takes {BREAKING} or {ADDITIVE}, not {fail_on!r}")
    root = Settings.load().data_dir
    if against is not None:
        found = compare(_read_fields(against), _summary(root))
        start = _since(since)
        found = [each for each in found if start is None or each.example.ts >= start]
    else:
        with Store(root, create=False) as store:
            found = store.noticed(_since(since))
    if as_json:
        print_json([_drift(each) for each in found])
    elif found:
        _show_drift(found, most=len(found))
    else:
        print("no changes")
    if fail_on is not None and any(fail_on in (each.verdict, ADDITIVE) for each in found):
        raise typer.Exit(1)


def field(query: Query, as_json: AsJson = False) -> None:
    """Say what a field of the feed is: type, range, meaning, the events that have it, samples.

    For example: rugs field data.price
    """
    from rugs_discovery import outputs
    from rugs_discovery.answers import answer_json, answers_text
    from rugs_discovery.lookup import field_lookup
    from rugs_discovery.notes_file import load_meanings
    from rugs_runtime.settings import Settings

    root = Settings.load().data_dir
    answers = field_lookup(_summary(root), load_meanings(outputs.notes_of(root)), " ".join(query))
    if as_json:
        print_json([answer_json(answer) for answer in answers])
    else:
        print(answers_text(answers, shutil.get_terminal_size().columns))


def _files(paths: list[Path], root: Path) -> list[Path]:
    from rugs_legacy.files import find_files, named_by

    def unreadable(folder: Path, error: OSError) -> None:
        print(f"rugs: cannot list {folder}: {error.strerror}", file=sys.stderr)

    try:
        named = [file for path in paths for file in named_by(path)]
    except FileNotFoundError as error:
        raise CommandError(str(error)) from error
    return list(find_files(named, root, unreadable))


def _summary(root: Path) -> Summary:
    from rugs_discovery import outputs
    from rugs_discovery.current import summary_of
    from rugs_discovery.notes_file import load_meanings
    from rugs_discovery.store import Store

    with Store(root, create=False) as store:
        return summary_of(store, load_meanings(outputs.notes_of(root)).pins)


def _since(text: str | None) -> int | None:
    from rugs_core.time import to_us

    if text is None:
        return None
    found = day(text)
    assert found is not None  # noqa: S101 - a text was given
    return to_us(dt.datetime.combine(found, dt.time(), dt.UTC))


def _read_fields(path: Path) -> dict[str, Any]:
    import orjson

    try:
        content: dict[str, Any] = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise CommandError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict) or "events" not in content:
        raise CommandError(f"{path} is no fields.json: it has no events")
    return content


def _drift(drift: Drift) -> dict[str, Any]:
    from rugs_discovery.documents import place_of

    return {**drift._asdict(), "text": drift.text, "example": place_of(drift.example)}


def _show_drift(found: list[Drift], most: int = _SHOWN) -> None:
    from rugs_discovery.documents import time_text

    rows = [(time_text(each.example.ts)[:19] if each.example.ts else "", each.verdict, each.text) for each in found]
    if rows:
        print_table(rows[:most], header=("first seen (UTC)", "verdict", "change"))
    if len(rows) > most:
        print(f"and {len(rows) - most:,} more: rugs discovery diff")


def _show_scan(done: Scan, counts: dict[str, Any]) -> None:
    for source in done.sources:
        if source.skipped is not None:
            print(f"skipped {source.file}: {source.skipped}", file=sys.stderr)
    for fault in done.state.faults[:_SHOWN]:
        print(f"{fault.place.name}:{fault.place.line}: {fault.reason}", file=sys.stderr)
    speed = counts["bytes"] / max(done.seconds, 1e-9)
    print(
        f"{counted(counts['files'], 'file')}, {counted(counts['lines'], 'line')},"
        f" {counted(counts['events'], 'event')} of {counted(counts['event_types'], 'type')};"
        f" {counted(counts['fields'], 'field')}, {counted(counts['paths'], 'distinct path')};"
        f" {counted(counts['errors'], 'error')}"
    )
    print(f"{human_bytes(counts['bytes'])} in {done.seconds:.1f} s, {human_bytes(speed)}/s")
    if counts["out"] is not None:
        print(f"documents: {Path(counts['out']) / 'index.md'}")


def _show_report(report: Report) -> None:
    for finding in report.findings:
        print(finding)
    if (more := report.total_findings - len(report.findings)) > 0:
        print(f"and {more:,} more")
    checked = f"{counted(report.events, 'event')} of {counted(report.event_types, 'type')}"
    print(
        f"{checked}: {report.values:,} values at {counted(report.paths, 'path')} counted again and validated"
        f" in {report.seconds:.1f} s; {counted(report.not_json, 'event')} that JSON Schema cannot check"
    )
    if report.total_findings:
        print(f"{counted(report.total_findings, 'finding')}: the documents do not cover everything")
    else:
        print("the documents cover everything")
