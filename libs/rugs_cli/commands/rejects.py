"""`rugs rejects`: what could not be understood, and feeding it again."""

from __future__ import annotations

import asyncio
import base64
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rugs_cli.output import AsJson, CommandError, print_json, print_table

if TYPE_CHECKING:
    from rugs_lake.read.rejects import Reject
    from rugs_query.retrying import Retried
    from rugs_runtime.settings import Settings

app = typer.Typer(help="What could not be understood: kept with its bytes, its place and the reason.")

Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Show so many at the most.")]
All = Annotated[
    bool, typer.Option("--all", help="Also those that were fed again with success, and cut lines that came whole.")
]
RejectId = Annotated[str, typer.Argument(help="Its id, or the first digits of it.", show_default=False)]
RejectIds = Annotated[list[str] | None, typer.Argument(help="Ids, or first digits; without any, all.")]
Raw = Annotated[bool, typer.Option("--raw", help="Write the bytes alone, as they were received.")]


@app.command("list")
def list_(limit: Limit = None, all_: All = False, as_json: AsJson = False) -> None:
    """List rejects, newest first."""
    from rugs_lake.read.rejects import list_rejects
    from rugs_runtime.settings import Settings

    found = list_rejects(Settings.load().data_dir, limit=limit, include_done=all_)
    if as_json:
        print_json([reject.as_dict() for reject in found])
    elif found:
        rows = [(r.id[:12], r.ts[:19], r.place, r.bytes, r.reason[:60]) for r in found]
        print_table(rows, header=("id", "time (UTC)", "place", "bytes", "reason"))
    else:
        print("no rejects")


@app.command()
def show(reject: RejectId, raw: Raw = False, as_json: AsJson = False) -> None:
    """Show one reject with its bytes."""
    from rugs_lake.read.rejects import show as read
    from rugs_runtime.settings import Settings

    found, content = read(Settings.load().data_dir, reject)
    if raw:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    elif as_json:
        print_json({**found.as_dict(), **_content(content)})
    else:
        print_table([(key, value) for key, value in found.as_dict().items() if value is not None])
        print(f"\n{content.decode(errors='backslashreplace')}")


def _content(content: bytes) -> dict[str, str]:
    try:
        return {"raw": content.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(content).decode()}


@app.command()
def retry(ids: RejectIds = None, as_json: AsJson = False) -> None:
    """Read rejects again with today's readers, and publish what is understood now.

    The exit code is 1 when something was understood and could not be published.
    """
    from rugs_runtime.settings import Settings

    found = asyncio.run(_retry(Settings.load(), ids))
    if as_json:
        print_json(found.as_dict())
    else:
        print(f"{found.tried:,} tried: {found.published:,} understood now, {found.still_rejected:,} not", end="")
        print(f" ({found.without_bytes:,} without their bytes in the object store)" if found.without_bytes else "")
        for failure in found.failures:
            print("not published: {id}: {reason}".format(**failure))
        if not found.committed:
            print("the writer has not yet taken what was published: see `rugs status`")
    if found.failed:
        raise typer.Exit(1)


async def _retry(settings: Settings, ids: list[str] | None) -> Retried:
    import rugs_bus
    from rugs_cli.around import stopping_with
    from rugs_lake.read.rejects import list_rejects
    from rugs_query import retrying
    from rugs_runtime.stack import running_stack
    from rugs_runtime.stopping import StoppedError, stop_on_signals

    rejects = list_rejects(settings.data_dir, include_done=ids is not None)
    if ids:
        rejects = [_named(each, rejects) for each in ids]
    stack = running_stack(settings.data_dir)
    if stack is None and settings.nats_url is None:
        return await retrying.retry(settings.data_dir, rejects, None)
    url = stack.nats_url if stack else settings.broker_url
    stop = stop_on_signals(in_order=True)
    nc = await rugs_bus.connect(url, name="rugs-rejects", timeout=settings.connect_timeout)
    try:
        async with stopping_with(settings, stack.pid if stack else None, stop):
            return await stop.first(retrying.retry(settings.data_dir, rejects, nc))
    except StoppedError as stopped:
        raise CommandError(f"{stopped}; what was fed again so far is safe: run the same command again") from None
    finally:
        await nc.close()


def _named(wanted: str, rejects: list[Reject]) -> Reject:
    found = [reject for reject in rejects if reject.id.startswith(wanted.lower())]
    if len(found) != 1:
        raise CommandError(f"{'several rejects have' if found else 'no reject has'} the id {wanted}")
    return found[0]
