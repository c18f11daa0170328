"""The one error of the readers."""

from __future__ import annotations

from rugs_core.errors import RugsError


class UnreadableError(RugsError, ValueError):
    """A line that is no record of its format; the message is the reason, on one line."""
