"""What can go wrong on the bus, and the one place that translates the client's own errors into it."""

from __future__ import annotations

from typing import Final

import nats.errors

from rugs_core.errors import RugsError


class BusError(RugsError):
    """The bus cannot do what was asked."""


class BusUnavailableError(BusError):
    """The broker does not answer now; the same again may work later."""

    retryable = True


class StreamAbsentError(BusUnavailableError):
    """The broker has no such stream now: the parquet-writer has not made it yet, or it is being restored."""


class BusClosedError(BusError):
    """This connection, or this publisher, is closed: nothing was refused, and the same may work on a new one."""

    retryable = True


class InvalidMessageError(BusError):
    """No broker would ever store this message: it is too large, or has no id, or no event's subject."""


class RefusedError(BusError):
    """The broker answered, and said no.

    `code` is like an HTTP status, `err_code` JetStream's own number (10000 and above).
    """

    def __init__(self, message: str, code: int, err_code: int) -> None:
        super().__init__(message)
        self.code = code
        self.err_code = err_code


CLIENT_ERRORS: Final = (nats.errors.Error, OSError, EOFError)
"""What nats-py and its socket raise; a time-out is an OSError. None of it leaves this room."""
_CLOSED: Final = (nats.errors.ConnectionClosedError, nats.errors.ConnectionDrainingError)
_INVALID: Final = (nats.errors.BadSubjectError, nats.errors.BadHeaderError, nats.errors.MaxPayloadError)


def translated(error: Exception, doing: str) -> BusError:
    """Return one of `CLIENT_ERRORS` as an error of the bus; `doing` says what failed."""
    if isinstance(error, _CLOSED):
        return BusClosedError(CLOSED)
    reason = str(error) or type(error).__name__
    if isinstance(error, _INVALID):
        return InvalidMessageError(f"{doing}: {reason}")
    return BusUnavailableError(f"{doing}: {reason}")


CLOSED: Final = "the connection to the broker is closed"
