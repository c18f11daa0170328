"""`rugs index`: what the semantic index finds things by."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rugs_cli.output import AsJson, CommandError, counted, human_bytes, print_json, print_table, printable
from rugs_cli.progress import progress_of

if TYPE_CHECKING:
    from rugs_cli.progress import Progress
    from rugs_index.chunk import Chunk
    from rugs_index.indexing import Done, Indexing
    from rugs_index.recording import Record

app = typer.Typer(help="The semantic index: chunks of what was recorded, found by words and by meaning.")

_SHOWN: Final = 20
"""Faults that are named; the others are counted."""


class Profile(StrEnum):
    """How texts are written; the same names as `rugs_index.chunkers.ws_event.Profile`."""

    CLAUDE_FLOW_V1 = "claude_flow_v1"
    RUGBUS = "rugbus"


Paths = Annotated[list[Path], typer.Argument(help="Recordings: files, folders or patterns.", show_default=False)]
Source = Annotated[
    str | None,
    typer.Option("--source", metavar="NAME", help="Source of the chunks, of one file. Default: the file's base name."),
]
TextProfile = Annotated[
    Profile, typer.Option("--profile", help="claude_flow_v1: the retrieval contract. rugbus: what the index has.")
]


Docs = Annotated[
    list[Path] | None,
    typer.Option("--docs", metavar="DIR", help="Index the Markdown documents of this folder as well, from now on."),
]


@app.command()
def update(docs: Docs = None, as_json: AsJson = False) -> None:
    """Bring the index up to what the lake has; build it where there is none. Discovery is brought up to date first.

    Where the indexer runs, it does this all the time.
    """
    with progress_of("indexing") as progress:
        done = _indexing(progress, docs).update()
    _show_done(done, as_json=as_json)


@app.command()
def rebuild(docs: Docs = None, as_json: AsJson = False) -> None:
    """Build the index from nothing beside the live one, which it then replaces. No text is embedded a second time."""
    with progress_of("indexing") as progress:
        done = _indexing(progress, docs).rebuild()
    _show_done(done, as_json=as_json)


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Prove that the index is what a rebuild would make: bring it up to date, build it again beside, and compare.

    The exit code is 1 where they differ, or where a chunk has no vector and nobody knows why.
    """
    with progress_of("verifying") as progress:
        proof = _indexing(progress).verify()
    if as_json:
        print_json({"ok": proof.ok, **asdict(proof)})
    elif proof.ok:
        print(f"the index is what a rebuild makes: {counted(proof.chunks, 'chunk')}, digest {proof.digest}")
    else:
        if (found := proof.difference) is not None:
            for name in ("missing", "extra", "changed"):
                some = ", ".join(getattr(found, f"first_{name}"))
                print(f"{name}: {getattr(found, name):,}{f' ({some})' if some else ''}")
        print(f"without a vector, for no known reason: {proof.holes:,}")
        print("the index is not what a rebuild makes: run `rugs index rebuild`")
    if not proof.ok:
        raise typer.Exit(1)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what the index holds, what it was built with, and whether it is behind the lake."""
    from rugs_index.status import status as status_of
    from rugs_runtime.settings import Settings

    found = status_of(Settings.load().data_dir)
    if as_json:
        print_json(found)
        return
    model = found["identity"]["embedder"]
    rows = [
        ("chunks", f"{found['chunks']:,}, {human_bytes(found['bytes'])}"),
        *((f"  {kind}", f"{count:,}") for kind, count in found["kinds"].items()),
        ("model", "none: only words are searched" if model is None else f"{model['model']} on {model['library']}"),
        ("texts", found["identity"]["profile"]),
        ("indexes", ", ".join(found["indexes"]) or "none yet: there are few chunks"),
        ("documents", ", ".join(found["documents"]) or "none: add some with `rugs index update --docs DIR`"),
        ("lake", "behind: run `rugs index update`, or start the stack" if found["is_behind"] else "up to date"),
    ]
    rows += [("not embedded", f"{count:,}: {reason}") for reason, count in found["skipped"].items()]
    print_table(rows)


@app.command()
def setup(as_json: AsJson = False) -> None:
    """Say what is installed of what the index needs to embed texts, and how to install the rest.

    The exit code is 1 while something is missing. Text search works without.
    """
    from rugs_index.embedders import setup_advice

    advice = setup_advice()
    if as_json:
        print_json({"ready": advice.is_ready, **asdict(advice)})
    else:
        for name, version in advice.installed.items():
            print(f"{name} {version}")
        for name in advice.missing:
            print(f"{name} is not installed")
        for command in advice.commands:
            print(f"run: {command}")
        if advice.is_ready:
            print("texts can be embedded")
    if not advice.is_ready:
        raise typer.Exit(1)


def _indexing(progress: Progress, docs: list[Path] | None = None) -> Indexing:
    from rugs_index.setup import indexing_of
    from rugs_runtime.settings import Settings

    settings = Settings.load()
    return indexing_of(
        settings.data_dir,
        embedder=settings.embedder.get_secret_value(),
        policy=settings.index_policy,
        profile=settings.index_profile,
        documents=[*settings.document_folders, *(docs or [])],
        progress=progress,
    )


def _show_done(done: Done, *, as_json: bool) -> None:
    counts = {name: value for name, value in asdict(done).items() if name != "position"}
    if as_json:
        print_json({**counts, "position": None if done.position is None else done.position._asdict()})
        return
    for name, reason in done.skipped_documents.items():
        print(printable(f"skipped {name}: {reason}"), file=sys.stderr)
    what = "built" if done.rebuilt else "updated"
    print(
        f"{what}: {counted(done.written, 'chunk')} written, {done.deleted:,} deleted, {done.unchanged:,} unchanged;"
        f" {done.embedded:,} texts embedded, {done.cached:,} known, {done.skipped:,} skipped"
    )


@app.command()
def chunks(
    paths: Paths, source: Source = None, profile: TextProfile = Profile.CLAUDE_FLOW_V1, as_json: AsJson = False
) -> None:
    """Print the chunk of every record of recordings; with --json, a line each. Needs no stack, no model and no table.

    Lines that are no records are named on standard error. The exit code is 1 if no file could be read.
    """
    from rugs_index.chunkers import ws_event
    from rugs_legacy.envelopes import printable as as_text

    reading = _Reading()
    files = reading.files(paths)
    if source is not None and len(files) != 1:
        raise typer.BadParameter(f"--source names the source of one file, and there are {len(files):,}: name one file")
    for file in files:
        name = as_text(file.name) if source is None else source
        for record, line in reading.records(file):
            chunk = ws_event.chunk_of_record(record, name, ws_event.Profile(profile), line=line)
            sys.stdout.buffer.write(_json_line(chunk) if as_json else _readable(chunk))
    sys.stdout.buffer.flush()
    reading.finish()


class _Reading:
    """Reads files, and says on standard error what of them cannot be read."""

    def __init__(self) -> None:
        self._files_read = 0
        self._faults = 0

    def files(self, paths: list[Path]) -> list[Path]:
        """Return the files that are named, and those in the folders that are named.

        Raises:
            CommandError: if a path names none.
        """
        from rugs_legacy.files import find_files, named_by

        try:
            named = [file for path in paths for file in named_by(path)]
        except FileNotFoundError as error:
            raise CommandError(str(error)) from error
        return list(find_files(named, _data_folder(named), _skip_unreadable))

    def records(self, file: Path) -> Iterator[tuple[Record, int | None]]:
        """Give the records of a file with their lines; name its faults, or why it is skipped."""
        from rugs_index.recording import NoRecordingError, read

        try:
            for each in read(file):
                if each.record is None:
                    self._add(f"{file.name}:{each.number}: {each.fault}")
                else:
                    yield each.record, each.line
            self._files_read += 1
        except NoRecordingError as error:
            _skip(file, str(error))
        except OSError as error:
            _skip_unreadable(file, error)

    def _add(self, fault: str) -> None:
        self._faults += 1
        if self._faults <= _SHOWN:
            print(printable(fault), file=sys.stderr)

    def finish(self) -> None:
        """Say how many faults there were.

        Raises:
            CommandError: if no file could be read.
        """
        if self._faults:
            more = f", {self._faults - _SHOWN:,} of them not named" if self._faults > _SHOWN else ""
            print(f"{counted(self._faults, 'fault')}{more}", file=sys.stderr)
        if not self._files_read:
            raise CommandError("none of these files is a recording that can be read")


def _skip(path: Path, why: str) -> None:
    print(printable(f"skipped {path}: {why}"), file=sys.stderr)


def _skip_unreadable(path: Path, error: OSError) -> None:
    _skip(path, error.strerror or str(error))


def _data_folder(named: list[Path]) -> Path:
    """Return the folder that holds no recordings. The settings take half a second: they are read for folders alone."""
    if not any(path.is_dir() for path in named):
        return Path()
    from rugs_runtime.settings import Settings

    return Settings.load().data_dir


def _json_line(chunk: Chunk) -> bytes:
    import orjson

    content = {"id": chunk.id, "text": chunk.text, "metadata": chunk.metadata}
    try:
        return orjson.dumps(content) + b"\n"
    except TypeError:  # half a surrogate pair, or a number beyond 64 bit
        return json.dumps(content).encode() + b"\n"


def _readable(chunk: Chunk) -> bytes:
    line = chunk.metadata.get("line_start")
    place = chunk.metadata["source"] if line is None else f"{chunk.metadata['source']}:{line}"
    text = "".join(f"  {printable(each)}\n" for each in chunk.text.split("\n"))
    return f"{chunk.id}  {printable(place)}\n{text}\n".encode()
