"""The errors of the bus: which of them may pass, and that nobody else has to know the client's own."""

from __future__ import annotations

import asyncio

import nats.errors
import pytest

from rugs_bus import BusClosedError, BusError, BusUnavailableError, InvalidMessageError, RefusedError
from rugs_bus.errors import CLIENT_ERRORS, translated
from rugs_core.errors import TakenOverError
from tests.support.crashkit import REPOSITORY


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (nats.errors.ConnectionClosedError(), BusClosedError),
        (nats.errors.ConnectionDrainingError(), BusClosedError),
        (nats.errors.MaxPayloadError(), InvalidMessageError),
        (nats.errors.BadSubjectError(), InvalidMessageError),
        (nats.errors.TimeoutError(), BusUnavailableError),
        (nats.errors.OutboundBufferLimitError(), BusUnavailableError),
        (nats.errors.NoRespondersError(), BusUnavailableError),
        (ConnectionResetError("Connection lost"), BusUnavailableError),
        (BrokenPipeError(32, "Broken pipe"), BusUnavailableError),
        (asyncio.IncompleteReadError(b"", 5), BusUnavailableError),
        (TimeoutError(), BusUnavailableError),
    ],
)
def test_the_clients_errors_are_errors_of_the_bus(error: Exception, kind: type[BusError]) -> None:
    assert isinstance(error, CLIENT_ERRORS)
    told = translated(error, "cannot do it")
    assert type(told) is kind
    assert str(told)


@pytest.mark.parametrize("kind", [BusError, RefusedError, InvalidMessageError, TakenOverError])
def test_what_does_not_pass_by_itself_says_so(kind: type[BusError]) -> None:
    assert not kind.retryable
    assert BusUnavailableError.retryable
    assert BusClosedError.retryable


def test_no_other_room_knows_the_clients_errors() -> None:
    sources = [path for room in ("libs", "services") for path in (REPOSITORY / room).rglob("*.py")]
    knowing = {path.parent.name for path in sources if "nats.errors" in path.read_text() + path.stem}
    assert knowing == {"rugs_bus"}
