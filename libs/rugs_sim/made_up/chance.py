"""Random things of the shapes that the feed sends; the same seed gives the same, on any machine."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, TypeVar

_T = TypeVar("_T")

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_SYLLABLES: Final = "al be cro da el fi gno ha ix jo ka lu mer na ot pe qui ra sol tri um va wy xo yu zen bit moon ape"
_WORDS: Final = (
    "wait for it now green candle please again never selling this one holds up only who bought early "
    "nice round gone too late see you next game lucky sidebet hits good night all"
)


class Chance:
    """Draws by basic arithmetic only, because transcendental functions differ between machines."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - nothing secret is made of it

    def share(self) -> float:
        """Return a float in [0, 1)."""
        return self._random.random()

    def happens(self, probability: float) -> bool:
        """Return True with a probability."""
        return self.share() < probability

    def between(self, low: float, high: float) -> float:
        """Return a float in [low, high)."""
        return low + (high - low) * self.share()

    def whole(self, low: int, high: int) -> int:
        """Return a whole number in [low, high]."""
        return low + int(self.share() * (high - low + 1))

    def one(self, choices: Sequence[_T]) -> _T:
        """Return one of the choices."""
        return choices[self.whole(0, len(choices) - 1)]

    def hex(self, digits: int) -> str:
        """Return lower-case hex digits."""
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    def uuid(self) -> str:
        """Return what looks like a random UUID."""
        parts = [self.hex(digits) for digits in (8, 4, 3, 3, 12)]
        return "{}-{}-4{}-{variant}{}-{}".format(*parts, variant=self.one("89ab"))

    def trace(self) -> dict[str, object]:
        """Return the first argument of a traced event."""
        return {"__trace": True, "traceparent": f"00-{self.hex(32)}-{self.hex(16)}-01"}

    def player_id(self) -> str:
        """Return what looks like a player's DID."""
        tail = "".join(self.one(_LETTERS) for _ in range(18))
        return f"did:privy:cm{self.one('abcdefghi')}{tail[:5]}00{tail[5:7]}l{self.one('0abcdef')}0{tail[7:]}"[:35]

    def name(self) -> str:
        """Return a made-up user name."""
        name = "".join(self.one(_SYLLABLES.split()) for _ in range(self.whole(2, 3)))
        if self.happens(0.4):
            name = name.capitalize()
        return f"{name}{self.whole(1, 99)}" if self.happens(0.3) else name

    def sentence(self) -> str:
        """Return a made-up line of chat."""
        return " ".join(self.one(_WORDS.split()) for _ in range(self.whole(1, 9)))

    def money(self, low: float, high: float) -> float:
        """Return an amount with nine decimals."""
        return round(self.between(low, high), 9)
