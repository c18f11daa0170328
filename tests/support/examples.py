"""How many examples a property test runs: fewer in `make test-fast`."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

_FULL: Final = settings.get_profile("full").max_examples


def examples(count: int) -> int:
    """Return `count`, for `max_examples`, scaled as the loaded profile scales the default; at least 3."""
    return max(min(3, count), round(count * settings().max_examples / _FULL))
