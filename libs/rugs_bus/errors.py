"""What can go wrong on the bus."""

from __future__ import annotations


class BusError(Exception):
    """The bus cannot do what was asked: one line that says why, and what to do."""


class BusUnavailableError(BusError):
    """The broker does not answer now; the same again may work later."""


class TakenOverError(BusError):
    """Another process does now what this one did: it has to stop, and has lost nothing."""


class RefusedError(BusError):
    """The broker answered, and said no.

    `code` is like an HTTP status, `err_code` JetStream's own number (10000 and above).
    """

    def __init__(self, message: str, code: int, err_code: int) -> None:
        super().__init__(message)
        self.code = code
        self.err_code = err_code
