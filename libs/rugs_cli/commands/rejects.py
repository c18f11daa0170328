"""`rugs rejects`: what could not be understood, and feeding it again."""

from __future__ import annotations

import asyncio
import base64
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rugs_cli.output import AsJson, CommandError, print_json, print_table

if TYPE_CHECKING:
    from rugs_lake.rejects import Reject

app = typer.Typer(help="What could not be understood: kept with its bytes, its place and the reason.")

Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Show so many at the most.")]
All = Annotated[bool, typer.Option("--all", help="Also those that were fed again with success.")]
RejectId = Annotated[str, typer.Argument(help="Its id, or the first digits of it.", show_default=False)]
RejectIds = Annotated[list[str] | None, typer.Argument(help="Ids, or first digits; without any, all.")]
Raw = Annotated[bool, typer.Option("--raw", help="Write the bytes alone, as they were received.")]


@app.command("list")
def list_(limit: Limit = None, all_: All = False, as_json: AsJson = False) -> None:
    """List rejects, newest first."""
    from rugs_lake import data_root
    from rugs_lake.rejects import list_rejects

    found = list_rejects(data_root(), limit=limit, include_retried=all_)
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
    from rugs_lake import data_root
    from rugs_lake.rejects import show as read

    found, content = read(data_root(), reject)
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
    """Read rejects again with today's readers, and publish what is understood now."""
    from rugs_lake import data_root
    from rugs_lake.rejects import list_rejects
    from rugs_lake.rejects import show as read

    root = data_root()
    wanted = [reject.id for reject in list_rejects(root)] if not ids else [read(root, each)[0].id for each in ids]
    found = asyncio.run(_retry([read(root, each) for each in wanted]))
    if as_json:
        print_json(found)
    else:
        print("{tried} tried: {published} are understood now, {still_rejected} are not".format(**found))


async def _retry(rejects: list[tuple[Reject, bytes]]) -> dict[str, Any]:
    from rugs_cli.retrying import understood
    from rugs_runtime.settings import Settings
    from rugs_runtime.stack import running_stack

    messages = [message for reject, content in rejects if (message := understood(reject, content)) is not None]
    if messages:
        import rugs_bus

        settings = Settings.load()
        stack = running_stack(settings.data_dir)
        if stack is None and settings.nats_url is None:
            raise CommandError("no stack runs here: start it with `rugs up`")
        nc = await rugs_bus.connect(stack.nats_url if stack else settings.broker_url, name="rugs-rejects")
        publisher = rugs_bus.Publisher(nc)
        for message in messages:
            await publisher.publish(message.subject, message.body, msg_id=message.msg_id, headers=message.headers)
        await publisher.flush(settings.connect_timeout)
        await publisher.close()
        await nc.close()
    return {"tried": len(rejects), "published": len(messages), "still_rejected": len(rejects) - len(messages)}
