"""What a command needs around it: the stack that runs, or one of its own for as long as it takes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rugs_runtime.settings import Settings


class Around(NamedTuple):
    """A broker at `url`, with a writer behind it.

    Where it is the command's `own` it ends with it: so wait for what it still has to do.
    """

    url: str
    own: bool


@asynccontextmanager
async def broker_and_writer(settings: Settings) -> AsyncIterator[Around]:
    """Find the broker and the writer of this data folder; where none runs, start them while the body runs."""
    from rugs_runtime import logs
    from rugs_runtime.service import presence
    from rugs_runtime.stack import WRITER, Stack, running_stack

    stack = running_stack(settings.data_dir)
    if stack is not None:
        yield Around(stack.nats_url, own=False)
    elif settings.nats_url is not None and presence(settings.data_dir, WRITER.name) is not None:
        yield Around(settings.broker_url, own=False)
    else:
        logs.configure("stack", "warning")
        async with Stack.ephemeral(settings) as own:
            yield Around(own.url, own=True)


@asynccontextmanager
async def program(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], **options: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a module's program while the body runs, which awaits its end.

    It hangs on a pipe, and ends when this process is gone, however it went.
    """
    from rugs_runtime.service import LIFELINE

    lifeline, ours = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            env={**os.environ, **environment, LIFELINE: str(lifeline)},
            pass_fds=[lifeline],
            **options,
        )
    finally:
        os.close(lifeline)
    try:
        yield process
    finally:
        os.close(ours)
