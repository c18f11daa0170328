"""Who may write over HTTP: the holder of the token, or, where there is none, this machine alone."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from rugs_capture.ingest.limits import Sender
from rugs_capture.ingest.terms import RequestError

_NO_HOST: Final = "localhost"
"""What HTTP 1.0 means by no `Host`: no browser speaks it."""
_PROXY_HEADERS: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


class Access:
    """Decides about requests. With a token, it alone counts, from wherever it comes.

    Without one, what comes from this machine may write, but not a web page that its browser
    shows: neither one from elsewhere (`Origin`), nor one whose name points here (`Host`), nor
    what a proxy on this machine passes on.

    `sender` is who holds the token, or this machine: they share its limits.
    """

    def __init__(self, token: str | None, sender: Sender) -> None:
        self._token = token.encode() if token else None
        self._sender = sender

    def admit(self, remote: str | None, headers: Mapping[str, str]) -> Sender:
        """Return who sends. `remote` is the peer's address.

        Raises:
            RequestError: if he may not write.
        """
        if self._token is not None:
            self._check_token(headers.get("Authorization", ""), self._token)
        else:
            _check_local(remote, headers)
        return self._sender

    @staticmethod
    def _check_token(authorization: str, token: bytes) -> None:
        scheme, _, told = authorization.partition(" ")
        given = told.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, token):
            raise RequestError(401, "the token is missing or wrong: Authorization: Bearer TOKEN")


def _check_local(remote: str | None, headers: Mapping[str, str]) -> None:
    if remote is None or not _is_loopback(remote):
        raise RequestError(403, "no token is set, so only this machine may write: set RUGS_INGEST_TOKEN")
    if any(name in headers for name in _PROXY_HEADERS):
        raise RequestError(403, "it comes through a proxy: set RUGS_INGEST_TOKEN")
    if not _is_loopback(_host_name(headers.get("Host", _NO_HOST))):
        raise RequestError(403, "Host is no name of this machine: use 127.0.0.1 or localhost")
    origin = headers.get("Origin")
    if origin is not None and not _is_loopback(_host_name(origin.partition("//")[2])):
        raise RequestError(403, "web pages from elsewhere may not write")
    if headers.get("Sec-Fetch-Site") == "cross-site":
        raise RequestError(403, "web pages from elsewhere may not write")


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
