"""What our client takes from nats-py's inside: it is there, and other clients of the process keep theirs."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

from rugs_bus.client import HardenedClient

ROOT = Path(__file__).parents[3]
METHODS: dict[Callable[..., Any], str] = {
    Client.close: "",
    Client.flush: "timeout",
    Client._attempt_reconnect: "",
    Client._build_message: "sid subject reply data headers",
    Client._ping_interval: "",
    Client._process_connect_init: "",
    Client._process_headers: "headers",
    Client._process_info: "info initial_connection",
    Client._process_op_err: "e",
    Client._process_pong: "",
    Client._read_loop: "",
    Parser.parse: "data",
}
"""What is overridden or called, with the parameters that our code is written for; each is a coroutine but one."""
ATTRIBUTES: dict[Callable[[], object], set[str]] = {
    Client: {
        *("_current_server", "_flush_queue", "_flusher_task", "_pending", "_pending_data_size", "_ping_interval_task"),
        *("_pongs", "_ps", "_reading_task", "_server_info", "_subs", "_transport", "options"),
    },
    TcpTransport: {"_io_writer"},
    lambda: Subscription(Client()): {"_closed", "_id", "_wait_for_msgs_task"},
}
"""What is read or set, of the objects that these make."""


def test_nats_py_has_the_private_parts_that_are_used() -> None:
    for method, parameters in METHODS.items():
        assert [*inspect.signature(method).parameters] == ["self", *parameters.split()], method.__qualname__
        assert inspect.iscoroutinefunction(method) == (method is not Client._build_message), method.__qualname__
    for make, names in ATTRIBUTES.items():
        assert names <= vars(make()).keys()


def test_every_private_part_that_is_used_is_looked_at_here() -> None:
    client = (ROOT / "libs/rugs_bus/client.py").read_text()
    others = "\n".join(path.read_text() for path in (ROOT / "libs").rglob("*.py"))
    used = set(re.findall(r"(?:self|super\(\))\.(_\w+)|def (_[a-z]\w*)\(self", client))
    used |= {(name, "") for name in re.findall(r"(?:\bnc|\b_nc|\bsubscription)\.(_\w+)", others)}
    looked_at = {method.__name__ for method in METHODS} | set().union(*ATTRIBUTES.values()) | {"_abort"}
    assert {name for pair in used for name in pair if name and not name.startswith("__")} <= looked_at


def test_only_versions_of_nats_py_that_were_looked_at_are_installed() -> None:
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert "nats-py>=2.16,<2.17" in requirements
    assert version("nats-py").startswith("2.16.")


class Reader:
    """What a parser calls with each message."""

    def __init__(self) -> None:
        self.subjects: list[bytes] = []

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        self.subjects.append(subject)


@pytest.mark.parametrize(
    "message", [b"MSG a.\x0b.b 1 3\r\nabc\r\n", b"HMSG a.\x0c.b 1 12 15\r\nNATS/1.0\r\n\r\nabc\r\n"]
)
async def test_odd_white_space_in_a_subject_is_read_by_our_client_only(message: bytes) -> None:
    ours, theirs = HardenedClient(), Client()
    reader = Reader()
    ours._ps.nc = reader
    await ours._ps.parse(message + b"MSG plain 1 reply 3\r\nabc\r\n")
    assert reader.subjects == [message.split(b" ")[1], b"plain"]
    other = Reader()
    theirs._ps.nc = other
    with pytest.raises(Exception, match=r"."):
        await theirs._ps.parse(message)
    assert not other.subjects, "nats-py itself is as it was"
