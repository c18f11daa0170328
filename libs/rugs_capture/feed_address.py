"""The address of a Socket.IO feed: what its URL and the options beside it mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rugs_proto.secrets import MASK, names_secret

DEFAULT_PATH: Final = "/socket.io/"
TRANSPORTS: Final = ("websocket", "polling")


class FeedAddressError(ValueError):
    """An address or an option beside it cannot be used: one line that says why, without any secret."""


@dataclass(frozen=True, repr=False)
class FeedAddress:
    """Where a feed is, and what each connection to it says."""

    base: str
    """``http://HOST[:PORT]`` or ``https://…``, without credentials; ``ws`` and ``wss`` became these."""
    path: str = DEFAULT_PATH
    """Path of the Engine.IO requests; begins and ends with a slash."""
    namespace: str = "/"
    query: tuple[tuple[str, str], ...] = ()
    """Decoded pairs for each Engine.IO request, besides EIO and transport."""
    headers: tuple[tuple[str, str], ...] = ()
    """Of each request; Authorization where the URL has a user and a password."""
    auth: Mapping[str, Any] | None = None
    """Payload of the connect packet."""
    transports: tuple[str, ...] = TRANSPORTS
    """In the order in which they are tried."""
    ca_file: Path | None = None
    """PEM file of the certificate authorities to trust instead of the system's."""
    proxy: str | None = None
    """URL of the proxy for `base`, perhaps with credentials."""

    @property
    def shown(self) -> str:
        """The URL without secrets: the one to store, log and show."""
        query = "&".join(f"{name}={MASK if value and names_secret(name) else value}" for name, value in self.query)
        where = self.base + ("" if self.namespace == "/" and not query else self.namespace)
        return where + (f"?{query}" if query else "") + ("" if self.path == DEFAULT_PATH else f" (path {self.path})")

    def __repr__(self) -> str:
        return f"FeedAddress({self.shown!r})"
