"""The root of the errors that every room raises on purpose."""

from __future__ import annotations

from typing import ClassVar


class RugsError(Exception):
    """What was asked for cannot be done: one line that says what is wrong, where, and what to do.

    `retryable`: the same again may work later.
    """

    retryable: ClassVar[bool] = False


class TakenOverError(RugsError):
    """Another process does now what this one did: it has to stop, and has lost nothing."""
