"""The broker's address: one NATS server, or several of one cluster, with the user that all of them know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from rugs_core.errors import RugsError
from rugs_core.host_address import HostAddress, parse_host_address
from rugs_core.secrets import mask_secrets

_SCHEMES: Final = ("nats", "tls", "ws", "wss")
_OVER_TCP: Final = ("nats", "tls")
_PORT: Final = 4222
_HOW: Final = "write nats://[USER:PASSWORD@]HOST[:PORT], more servers after a comma"


class BrokerAddressError(RugsError, ValueError):
    """This is no address of a broker: one line that says what to write, and quotes nothing of it."""


@dataclass(frozen=True)
class BrokerAddress:
    """Where the broker is. A user without a password is a token."""

    servers: tuple[HostAddress, ...]

    @property
    def url(self) -> str:
        """The address as text, with percent-encoded credentials: it means the same to every reader."""
        return ",".join(server.url for server in self.servers)

    @property
    def shown(self) -> str:
        """The address without credentials: the one to log and show."""
        return mask_secrets(self.url)

    @property
    def credentials(self) -> dict[str, Any]:
        """What nats-py's `connect` takes for them."""
        first = self.servers[0]
        if first.user is None:
            return {}
        return {"token": first.user} if first.password is None else {"user": first.user, "password": first.password}


def parse_broker_address(text: str) -> BrokerAddress:
    """Return the broker that `text` means: a server's address, or a list of them with commas.

    Credentials may be percent-encoded or not; a comma in them must be. They belong to all servers of a
    list, whose schemes may be left out but the first.

    Raises:
        BrokerAddressError: if it means none.
    """
    servers: list[HostAddress] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        if servers and "://" not in item and "@" in item and servers[0].user is None:  # the rest of a password
            raise BrokerAddressError("write %2C for a comma in a password, and nats:// before each server with a user")
        server = parse_host_address(item, _SCHEMES, servers[0].scheme if servers else None)
        if server is None:
            raise BrokerAddressError(f"not a NATS address: {_HOW}")
        if server.scheme in _OVER_TCP:
            if server.path.strip("/"):
                raise BrokerAddressError(f"a NATS address has no path: {_HOW}")
            server = replace(server, path="", port=server.port or _PORT)
        servers.append(server)
    if not servers:
        raise BrokerAddressError(f"not a NATS address: {_HOW}")
    if len({server.scheme in _OVER_TCP for server in servers}) > 1:
        raise BrokerAddressError("all servers of a NATS address must be nats:// and tls://, or all ws:// and wss://")
    users = {(server.user, server.password) for server in servers if server.user is not None}
    if len(users) > 1:
        raise BrokerAddressError("all servers of a NATS address must have the same user and password")
    user, password = next(iter(users), (None, None))
    return BrokerAddress(tuple(replace(server, user=user, password=password) for server in servers))
