"""`rugs stats`, `rugs compact`, `rugs verify`: the lake as a whole."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from rugs_cli.output import AsJson, counted, human_bytes, print_json, print_table
from rugs_cli.progress import progress_of


def stats(as_json: AsJson = False) -> None:
    """Show what the lake holds: rows, files, bytes and time range by doc type."""
    from rugs_lake.read.stats import by_doc_type
    from rugs_runtime.settings import Settings

    found = by_doc_type(Settings.load().data_dir)
    if as_json:
        print_json({each.doc_type: {k: v for k, v in each.as_dict().items() if k != "doc_type"} for each in found})
        return
    rows = [
        (each.doc_type, each.rows, each.files, human_bytes(each.bytes), f"{each.first:%F %R}", f"{each.last:%F %R}")
        for each in found
    ]
    print_table(rows, header=("doc type", "rows", "files", "size", "first (UTC)", "last (UTC)"))


Best = Annotated[
    bool, typer.Option("--best", help="Compress as well as can be: up to 15% smaller, and up to 100 times slower.")
]


def compact(best: Best = False, as_json: AsJson = False) -> None:
    """Merge the small files of each date into few sorted, well-compressed ones.

    It does the work itself, beside a running writer and readers, and needs no stack. The writer's own compactions
    in the background leave files alone until there are many of a size; dates that have got nothing for three days are
    compressed as well as can be, a file at a time, while the machine is idle.
    """
    from rugs_lake.maintain.compaction import REUSED_BYTES
    from rugs_lake.maintain.compaction import compact as compact_lake
    from rugs_lake.maintain.memory import keep_small
    from rugs_lake.store.catalog import Catalog, rebuild
    from rugs_lake.store.evolution import bring_up
    from rugs_lake.store.parquet import Effort
    from rugs_lake.store.paths import LakePaths
    from rugs_runtime.settings import Settings
    from rugs_runtime.stack import running_stack

    root = Settings.load().data_dir
    is_alone = running_stack(root) is None
    keep_small(reused=REUSED_BYTES)
    began = time.monotonic()
    with Catalog(LakePaths(root)) as catalog, progress_of("compacting") as progress:
        if is_alone:  # else an older program may be writing, which would not find what is brought up here
            bring_up(catalog)
        done = compact_lake(catalog, effort=Effort.BEST if best else Effort.QUICK, progress=progress)
        if is_alone:
            rebuild(catalog)
    if as_json:
        print_json({**done._asdict(), "seconds": round(time.monotonic() - began, 3)})
    elif done.files_before == 0:
        print("nothing to compress further" if best else "nothing to merge")
    else:
        sizes = f"{human_bytes(done.bytes_before)} became {human_bytes(done.bytes_after)}"
        print(f"{counted(done.files_before, 'file')} became {done.files_after:,}, {counted(done.rows, 'row')}, {sizes}")


Fast = Annotated[bool, typer.Option("--fast", help="Leave out digests and page checksums: do not read every byte.")]
Repair = Annotated[bool, typer.Option("--repair", help="Move files that no snapshot names aside, and say where to.")]


def verify(fast: Fast = False, repair: Repair = False, as_json: AsJson = False) -> None:
    """Prove that the lake is whole: files, sequences, ids and totals against the catalog.

    The exit code is 1 when anything is wrong.
    """
    from rugs_lake.maintain.verify import verify as verify_lake
    from rugs_runtime.settings import Settings

    with progress_of("verifying") as progress:
        report = verify_lake(Settings.load().data_dir, fast=fast, repair=repair, progress=progress)
    if as_json:
        print_json(report.as_dict())
    else:
        print(f"snapshot {report.snapshot}: {counted(report.files, 'file')}, {counted(report.rows, 'row')}")
        for path in report.moved:
            print(f"moved aside: {path}")
        for fault in report.faults():
            print(f"FAULT {fault}")
        print("the lake is whole" if report.ok else "the lake is NOT whole")
    if not report.ok:
        raise typer.Exit(1)
