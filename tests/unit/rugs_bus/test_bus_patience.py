"""What passes is tried again, and said; what does not pass is raised at once."""

from __future__ import annotations

import asyncio

import pytest

from rugs_core.patience import GivenUpError, Patience

FULL = OSError(28, "No space left on device", "/lake")


async def test_it_says_what_is_in_the_way_until_it_works() -> None:
    patience = Patience(asyncio.Event(), (OSError,), 0.001)
    seen: list[str | None] = []

    async def attempt() -> str:
        seen.append(patience.trouble)
        if len(seen) < 3:
            raise FULL
        return "done"

    assert await patience.until_done("cannot write", attempt) == "done"
    said = "cannot write: /lake: No space left on device; nothing is lost, trying again every 0.001 s"
    assert seen == [None, said, said]
    assert patience.trouble is None


async def test_told_to_stop_it_gives_up_and_still_says_why() -> None:
    stop = asyncio.Event()
    patience = Patience(stop, (OSError,), 60.0)

    async def attempt() -> None:
        stop.set()
        raise FULL

    with pytest.raises(GivenUpError, match="cannot write: /lake"):
        await patience.until_done("cannot write", attempt)
    assert patience.trouble is not None


async def test_what_does_not_pass_is_raised() -> None:
    async def attempt() -> None:
        raise ValueError("no number")

    with pytest.raises(ValueError, match="no number"):
        await Patience(asyncio.Event(), (OSError,), 60.0).until_done("cannot read", attempt)
