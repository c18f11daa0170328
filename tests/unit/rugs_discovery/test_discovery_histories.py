"""Discovery of the lake comes to the same state whatever happened, in whatever order, and wherever it was killed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rugs_discovery.current import build
from rugs_discovery.lake import WANTED, apply, rebuilt
from rugs_discovery.store import FOLDER, Store
from rugs_lake.read.pieces import next_piece
from tests.support import histories
from tests.support.examples import examples


class History(histories.History):
    """A history that discovery follows."""

    def follow(self) -> str:
        """Go on from the store's position, and be killed after some pieces or at the end."""
        most = self.chance.choice([1, 2, 3, 4, None, None])
        wanted = WANTED._replace(rows=self.chance.choice([2, 5, 99]))
        taken = 0
        with Store(self.root) as store:
            while taken != most and (piece := next_piece(self.root, store.position, wanted)) is not None:
                apply(self.root, store, piece)
                taken += 1
        return f"follow: killed after {taken} of {most}"

    def lose_the_store(self) -> None:
        """Lose what discovery has computed."""
        shutil.rmtree(self.root / FOLDER, ignore_errors=True)

    def check(self) -> None:
        """Check that discovery that goes on and that from nothing agree, and each part with the lake's rows."""
        found = self.parts()
        self.lose_the_store()
        assert self.parts() == found
        with Store(self.root) as store:
            position = store.position
            assert position is not None
            assert {part: rebuilt(self.root, part, position).pack() for part in store.parts()} == found

    def parts(self) -> dict[object, bytes]:
        """Go on to the end; return the parts."""
        with Store(self.root) as store:
            build(self.root, store)
            return {part: state.pack() for part, state in store.parts().items()}


@pytest.mark.slow
def test_discovery_comes_to_what_it_is_from_nothing(tmp_path: Path) -> None:
    happened = histories.run(History, range(examples(16)), tmp_path)
    assert sum(count for step, count in happened.items() if step.startswith("follow"))


@pytest.mark.matrix
@pytest.mark.parametrize("first", range(0, 400, 25))
def test_discovery_killed_in_hundreds_of_histories(tmp_path: Path, first: int) -> None:
    happened = histories.run(History, range(first, first + 25), tmp_path)
    print(f"histories {first} to {first + 24}: same states as from nothing; {sum(happened.values())} steps")
