"""Addresses of servers: ``scheme://[user[:password]@]host[:port]``, in which a password may hold any character."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_PLACE: Final = re.compile(
    r"(?P<host>\[[0-9a-f:.]+(?:%[\w.-]+)?\]|[^\s:/?#\[\]@%,]+)(?::(?P<port>\d{0,5}))?(?P<path>/\S*)?", re.IGNORECASE
)
_LARGEST_PORT: Final = 65535


@dataclass(frozen=True, repr=False)
class HostAddress:
    """One server. `user` and `password` are decoded, None where there is none; `host` is without brackets."""

    scheme: str
    host: str
    port: int | None = None
    user: str | None = None
    password: str | None = None
    path: str = ""

    @property
    def bare(self) -> str:
        """The address without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port is None else f':{self.port}'}{self.path}"

    @property
    def url(self) -> str:
        """The address as every program reads it: credentials are percent-encoded."""
        if self.user is None:
            return self.bare
        password = "" if self.password is None else f":{quote(self.password, safe='')}"
        return self.bare.replace("://", f"://{quote(self.user, safe='')}{password}@", 1)

    def __repr__(self) -> str:
        return f"HostAddress({self.bare!r})"


def parse_host_address(text: str, schemes: Collection[str], default: str | None = None) -> HostAddress | None:
    """Return the server that `text` means, or None if it is no such address.

    All before the last ``@`` is user and password: as is, or percent-encoded. `default` is the scheme
    of an address without one. Nothing is raised that could quote a password.
    """
    text = text.strip()
    if any("\ud800" <= character <= "\udfff" for character in text):  # bytes of the environment that are no UTF-8
        return None
    match = _SCHEME.match(text)
    scheme, rest = (match[1].lower(), text[match.end() :]) if match else (default, text)
    credentials, _, place = rest.rpartition("@")
    found = _PLACE.fullmatch(place)
    if scheme not in schemes or found is None:
        return None
    port = int(found["port"]) if found["port"] else None
    if port is not None and port > _LARGEST_PORT:
        return None
    user, colon, password = credentials.partition(":")
    return HostAddress(
        scheme=scheme or "",
        host=found["host"].strip("[]"),
        port=port,
        user=unquote(user) if credentials else None,
        password=unquote(password) if colon else None,
        path=found["path"] or "",
    )
