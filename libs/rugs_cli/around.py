"""What a command needs around it: the stack that runs, or one of its own for as long as it takes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from rugs_cli.output import CommandError

if TYPE_CHECKING:
    from rugs_runtime.settings import Settings
    from rugs_runtime.stopping import Stop

_T = TypeVar("_T")

_LOOK_SECONDS: Final = 0.05


class Around(NamedTuple):
    """A broker at `url`, with a writer behind it.

    Where it is the command's `own` it ends with it: so wait for what it still has to do. Where it is a stack's,
    `supervisor` is that stack's process.
    """

    url: str
    own: bool
    supervisor: int | None = None


async def work_beside_a_stack(
    settings: Settings, work: Callable[[Around], Coroutine[Any, Any, _T]], *, given_up: str
) -> _T:
    """Do work that needs a broker and a writer; where none runs, start them for as long as it takes.

    A signal, or the end of the stack, gives the work up in order.

    Raises:
        CommandError: if it was given up: why, and `given_up`, which says what that means.
    """
    from rugs_runtime.stopping import StoppedError, stop_on_signals

    stop = stop_on_signals(in_order=True)
    try:
        async with broker_and_writer(settings, stop) as around, stopping_with(settings, around.supervisor, stop):
            return await stop.first(work(around))
    except StoppedError as stopped:
        raise CommandError(f"{stopped}; {given_up}") from None


@asynccontextmanager
async def stopping_with(settings: Settings, supervisor: int | None, stop: Stop) -> AsyncIterator[None]:
    """Ask to stop when the stack stops that a process supervises, if it does while the body runs."""
    from rugs_runtime.stack import stack_stops

    async def watch(supervisor: int) -> None:
        await stack_stops(settings.data_dir, supervisor)
        stop.ask("the stack was stopped")

    watching = None if supervisor is None else asyncio.create_task(watch(supervisor))
    try:
        yield
    finally:
        if watching is not None:
            watching.cancel()


@asynccontextmanager
async def broker_and_writer(settings: Settings, stop: Stop) -> AsyncIterator[Around]:
    """Find the broker and the writer of this data folder; where none runs, start them while the body runs.

    Raises:
        StoppedError: if asked to stop before they run.
    """
    from rugs_runtime import logs
    from rugs_runtime.service import presence
    from rugs_runtime.stack import WRITER, Stack, running_stack

    stack = running_stack(settings.data_dir)
    if stack is not None:
        yield Around(stack.nats_url, own=False, supervisor=stack.pid)
    elif settings.nats_url is not None and presence(settings.data_dir, WRITER.name) is not None:
        yield Around(settings.broker_url, own=False)
    else:
        logs.configure("stack", "warning")
        async with Stack.ephemeral(settings, stop) as own:
            yield Around(own.url, own=True)


async def run_program(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    stop: asyncio.Event,
    hurry: asyncio.Event,
    seconds: float,
    **options: Any,
) -> int:
    """Run a module's program until it ends, or `stop` is set and it has ended as asked; return its exit code.

    It has so many seconds to end, and few after `hurry` is set. Signals of the terminal do not reach it. It hangs on
    a pipe, and ends when this process is gone, however it went.
    """
    from rugs_runtime.programs import end_process, launch
    from rugs_runtime.service import LIFELINE

    lifeline, ours = os.pipe()
    try:
        told = {**os.environ, **environment, LIFELINE: str(lifeline)}
        process = launch((sys.executable, "-m", module, *arguments), env=told, pass_fds=[lifeline], **options)
        while process.poll() is None:
            if stop.is_set():
                await end_process(process, seconds, hurry, module)
            else:
                await asyncio.sleep(_LOOK_SECONDS)
        return process.returncode
    finally:
        os.close(lifeline)
        os.close(ours)
