"""A follower of the lake comes to the same result whatever happened, in whatever order, and wherever it was killed."""

from __future__ import annotations

import itertools
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.support import histories
from tests.support.examples import examples
from tests.support.followkit import SmallFollower, figures, read_rows

HISTORIES: Final = 1_000
BLOCK: Final = 25


class History(histories.History):
    """A history that a small follower follows."""

    def __init__(self, folder: Path, chance: Random) -> None:
        super().__init__(folder, chance)
        self.path = folder / "store.sqlite"

    def lose_the_store(self) -> None:
        """Lose what the follower has computed."""
        self.path.unlink(missing_ok=True)

    def follow(self) -> str:
        """Go on from the checkpoint, and be killed after some steps or at the end."""
        steps = self.chance.choice([1, 2, 3, 4, 5, 6, 7, 8, None, None, None, None])
        follower = SmallFollower(self.root, self.path, rows=self.chance.choice([2, 5, 99]))
        *_, last = ["nothing", *itertools.islice(follower.steps(), steps)]
        return f"follow: killed behind {last}"

    def check(self) -> None:
        """The follower that goes on, one that starts from nothing, and the lake's rows themselves agree."""
        expected = figures(read_rows(self.root))
        assert SmallFollower(self.root, self.path).run() == expected
        self.lose_the_store()
        assert SmallFollower(self.root, self.path).run() == expected


@pytest.mark.slow
def test_a_follower_comes_to_what_one_that_starts_from_nothing_does(tmp_path: Path) -> None:
    histories.run(History, range(examples(24)), tmp_path)


@pytest.mark.matrix
@pytest.mark.parametrize("first", range(0, HISTORIES, BLOCK))
def test_a_follower_killed_in_a_thousand_histories(tmp_path: Path, first: int) -> None:
    happened = histories.run(History, range(first, first + BLOCK), tmp_path)
    killed = {step: count for step, count in happened.items() if step.startswith("follow")}
    print(f"histories {first} to {first + BLOCK - 1}: same digest as from nothing; {killed}")
    assert len(killed) >= 5
