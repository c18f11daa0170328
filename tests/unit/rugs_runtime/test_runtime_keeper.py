"""Whatever goes wrong with a process, and however often: it runs again once the cause is gone."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_runtime.keeper import Keeper
from rugs_runtime.service import EXIT_SUPERSEDED

PAUSE = 0.0005
Fault = Callable[[], BaseException]

FAULTS: dict[str, Fault] = {
    "disk full": lambda: OSError(errno.ENOSPC, "No space left on device", "log"),
    "no process": lambda: BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
    "no memory": MemoryError,
    "too many files": lambda: OSError(errno.EMFILE, "Too many open files"),
    "binary missing": lambda: FileNotFoundError(errno.ENOENT, "No such file", "nats-server"),
    "binary busy": lambda: OSError(errno.ETXTBSY, "Text file busy", "nats-server"),
    "not allowed": lambda: PermissionError(errno.EACCES, "Permission denied", "nats-server"),
    "no thread": lambda: RuntimeError("can't start new thread"),
    "a mistake": lambda: ZeroDivisionError("division by zero"),
    "a cancellation that leaks": asyncio.CancelledError,
}


class Scripted:
    """A process that fails as told: at its start, while it runs, or by ending."""

    name = "scripted"
    trouble: str | None = None

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        self.faults = list(faults)
        self.pid: int | None = None
        self.exit_code: int | None = None
        self.running = 0
        self._end = asyncio.Event()

    def _fail(self, where: str) -> None:
        if self.faults and self.faults[0][0] == where:
            raise FAULTS[self.faults.pop(0)[1]]()

    async def start(self) -> None:
        assert self.pid is None, "it is never started twice"
        self._fail("start")
        self.pid, self.exit_code = 42, None

    async def ended(self) -> str:
        self._fail("waiting")
        if self.faults and self.faults[0][0] == "end":
            self.pid, self.exit_code = None, -9
            self.faults.pop(0)
            return "ended by SIGKILL"
        self.running += 1
        await self._end.wait()
        self.pid, self.exit_code = None, 0
        return "ended with exit code 0"

    async def end(self, seconds: float, hurry: asyncio.Event) -> None:
        self._fail("ending")
        self._end.set()


faults = st.lists(st.tuples(st.sampled_from(["start", "waiting", "end"]), st.sampled_from(list(FAULTS))), max_size=12)


@given(faults)
def test_once_the_cause_is_gone_the_process_runs_again(faults: list[tuple[str, str]]) -> None:
    async def run() -> None:
        process = Scripted(faults)
        seen: list[str] = []
        keeper = Keeper(process, lambda: seen.append(keeper.state), first_pause=PAUSE, longest_pause=PAUSE)
        task = keeper.begin()
        async with asyncio.timeout(20):
            while not process.running:  # noqa: ASYNC110
                await asyncio.sleep(PAUSE)
        assert keeper.state == "running"
        assert keeper.info.pid == 42
        assert (keeper.info.error is None) == (not faults), "what went wrong is noted"
        await keeper.stop(1)
        assert task.done()
        assert not task.cancelled()
        assert task.exception() is None
        assert seen[-1] == "stopped"

    asyncio.run(run())


@pytest.mark.parametrize("fault", FAULTS)
async def test_who_looks_on_may_fail_and_so_may_the_end(fault: str) -> None:
    def changed() -> None:
        if fault != "a cancellation that leaks":
            raise FAULTS[fault]()

    process = Scripted([("end", ""), ("ending", fault)] if fault != "a cancellation that leaks" else [("end", "")])
    keeper = Keeper(process, changed, first_pause=PAUSE)
    keeper.begin()
    await keeper.started()
    while not process.running:  # noqa: ASYNC110
        await asyncio.sleep(PAUSE)
    await keeper.stop(1)
    assert keeper.state == "stopped"


async def test_the_first_start_says_why_it_fails_and_is_tried_again() -> None:
    process = Scripted([("start", "binary missing")])
    keeper = Keeper(process, first_pause=PAUSE)
    keeper.begin()
    with pytest.raises(FileNotFoundError):
        await keeper.started()
    while not process.running:  # noqa: ASYNC110
        await asyncio.sleep(PAUSE)
    await keeper.stop(1)


async def test_one_that_was_superseded_is_left_stopped() -> None:
    class Superseded(Scripted):
        async def ended(self) -> str:
            self.pid, self.exit_code = None, EXIT_SUPERSEDED
            return "superseded"

    keeper = Keeper(Superseded([]))
    await keeper.begin()
    assert keeper.state == "superseded"
    assert keeper.info.restarts == 0
    await keeper.stop(1)
    assert keeper.state == "superseded"


class Unheard(BaseException):
    """Nothing that a keeper may catch."""


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_keeper_that_fails_all_the_same_says_so(cancelled: bool) -> None:
    class Broken(Scripted):
        async def ended(self) -> str:
            if not cancelled:
                raise Unheard
            return await super().ended()

    keeper = Keeper(Broken([]))
    task = keeper.begin()
    await keeper.started()
    if cancelled:
        task.cancel()
    await asyncio.wait((task,))
    await asyncio.sleep(0)
    assert keeper.state == "stopped"
    assert "keeper has failed" in str(keeper.info.error)


@pytest.mark.parametrize(("lived", "pauses"), [(600.0, [0.0] * 6), (0.0, [0.5, 1.0, 2.0, 4.0, 8.0, 15.0])])
async def test_pauses_grow_only_for_what_does_not_live(
    monkeypatch: pytest.MonkeyPatch, lived: float, pauses: list[float]
) -> None:
    """Kills that are minutes apart never make the next pause longer."""
    clock, paused = [0.0], []

    class Short(Scripted):
        async def ended(self) -> str:
            clock[0] += lived
            self.pid, self.exit_code = None, -9
            return "ended by SIGKILL"

    async def pause(stop: asyncio.Event, seconds: float) -> bool:
        paused.append(seconds)
        if len(paused) == len(pauses):
            stop.set()
        return stop.is_set()

    monkeypatch.setattr("rugs_runtime.keeper.monotonic", lambda: clock[0])
    monkeypatch.setattr("rugs_runtime.keeper.stopped_within", pause)
    await Keeper(Short([])).begin()
    assert paused == pauses
