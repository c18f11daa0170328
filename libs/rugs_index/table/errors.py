"""What can go wrong with the table of the index, and what to do then."""

from __future__ import annotations

from typing import Final

from rugs_core.errors import RugsError, TakenOverError

REBUILD: Final = "run `rugs index rebuild`"
"""The advice for every table that this program cannot use: the index is derived, so nothing is lost."""


class IndexTableError(RugsError):
    """The table of the index cannot do what was asked."""


class IndexAbsentError(IndexTableError):
    """There is no index here: nothing was ever indexed, or its folder was deleted."""


class IndexDamagedError(IndexTableError):
    """There is an index, and its files are not whole."""


class IndexIncompatibleError(IndexTableError):
    """The index was built with another model, chunker, profile or schema than this program would use."""


class IndexBusyError(IndexTableError):
    """Another process does what only one may do at a time, or the disk is full. It may pass."""

    retryable = True


class IndexReplacedError(IndexTableError, TakenOverError):
    """A rebuild replaced the table that was open: what is written there is no longer read. Open the index again."""
