"""The address of a Socket.IO feed: what its URL and the options beside it mean.

The URL means what it means to Socket.IO clients: ``https://HOST/prices?x=1`` is the namespace ``/prices``
there, and each Engine.IO request goes to the option `path`, ``/socket.io/`` by default, with ``x=1``.
A URL that is itself that of an Engine.IO request, as browsers show it, is recognised by its last
part, ``/socket.io/``, or by ``EIO=4`` in its query: its path is the Engine.IO path.
"""

from __future__ import annotations

import json
import os
import re
import ssl
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from rugs_capture.feed_proxy import environment_proxy, parse_proxy
from rugs_core.errors import RugsError
from rugs_core.secrets import mask_secrets

DEFAULT_PATH: Final = "/socket.io/"
TRANSPORTS: Final = ("websocket", "polling")

_BASE_SCHEMES: Final = {"http": "http", "ws": "http", "https": "https", "wss": "https"}
_ENGINE_NAMES: Final = ("socket.io", "engine.io")
_PROTOCOL: Final = "4"
"""The revision of Engine.IO that is spoken: that of Socket.IO 3 and later."""
_ENCODE: Final = "percent-encode / ? # and @ in a user name or password (%2F %3F %23 %40)"

_UNUSABLE: Final = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")
_OWN_HEADERS: Final = re.compile(r"connection|upgrade|content-length|transfer-encoding|sec-websocket-.*", re.IGNORECASE)


class FeedAddressError(RugsError, ValueError):
    """The URL or an option beside it cannot be used: one line that says what to do, without any secret.

    `option` is the parameter of `parse_feed` that it is about; None for a variable that the text names.
    """

    def __init__(self, option: str | None, text: str) -> None:
        super().__init__(text)
        self.option = option


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
    """Payload of the connect packet. A copy that is stored has `rugs_core.secrets.mask_values` of it."""
    transports: tuple[str, ...] = TRANSPORTS
    """In the order in which they are tried."""
    ca_file: Path | None = None
    """PEM file of the certificate authorities to trust instead of the system's."""
    proxy: str | None = None
    """URL of the proxy for `base`, perhaps with credentials."""

    @property
    def shown(self) -> str:
        """The URL without secrets: the one to store, log and show."""
        query = f"?{urlencode(self.query, quote_via=quote)}" if self.query else ""
        where = mask_secrets(f"{self.base}{'' if self.namespace == '/' else self.namespace}{query}")
        return where if self.path == DEFAULT_PATH else f"{where} (path {mask_secrets(self.path)})"

    def __repr__(self) -> str:
        return f"FeedAddress({self.shown!r})"


def parse_feed(
    url: str,
    *,
    path: str | None = None,
    namespace: str | None = None,
    query: str = "",
    headers: str = "",
    auth: str = "",
    transports: str = "",
    ca_file: Path | None = None,
    proxy: str | None = None,
) -> FeedAddress:
    """Return the feed that a URL and the options beside it mean.

    Parameters:
        url: ``http``, ``https``, ``ws`` or ``wss``; with user and password, path and query.
        path: Engine.IO path. Without it that of a URL of an Engine.IO request, or ``/socket.io/``.
        namespace: without it the URL's path.
        query: more of the query, ``NAME=VALUE&NAME=VALUE``, percent-encoded.
        headers: ``Name: value`` a line, a JSON object, or ``@FILE`` with either.
        auth: a JSON object, or ``@FILE`` with one.
        transports: some of `TRANSPORTS`, with commas.
        proxy: without it the environment's for this host: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY.

    Raises:
        FeedAddressError: if any of them cannot be used, or two contradict each other.
    """
    parts, base = _split(url)
    pairs = _pairs(parts.query, "url", "the query: ")
    url_path = parts.path if parts.path != "/" else ""
    is_engine = _is_engine(url_path, pairs)
    return FeedAddress(
        base=base,
        path=_path(_one("path", url_path if is_engine else "", path)),
        namespace=_namespace(_one("namespace", "" if is_engine else url_path, namespace)),
        query=(*_own_query(pairs), *_pairs(query, "query")),
        headers=(*_authorization(parts), *_headers(given_text(headers, "headers"), has_user="@" in parts.netloc)),
        auth=_payload(given_text(auth, "auth")),
        transports=_transports(transports, pairs),
        ca_file=_ca_file(ca_file, base),
        proxy=_proxy(proxy, base),
    )


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return what connections trust: the certificate authorities of a PEM file, or those of the system.

    Raises:
        FeedAddressError: if the file, or that of SSL_CERT_FILE, cannot be used.
    """
    named = None if ca_file else os.environ.get("SSL_CERT_FILE")
    file, option, of = (Path(named), None, "SSL_CERT_FILE: ") if named else (ca_file, "ca_file", "")
    try:
        return ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        raise FeedAddressError(option, f"{of}no certificates in {file}: name a PEM file") from None
    except OSError as error:
        raise FeedAddressError(option, f"{of}cannot read {file}: {error.strerror}") from error


def _split(url: str) -> tuple[SplitResult, str]:
    """Return the URL's parts, and its scheme, host and port. An error of `urlsplit` itself would quote the password."""
    url = url.strip()
    if _UNUSABLE.search(url):
        raise FeedAddressError("url", "a space, or another character that no URL has: write %20 for a space")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise FeedAddressError("url", f"not the address of a feed: write https://HOST, and {_ENCODE}") from None
    if parts.scheme not in _BASE_SCHEMES or not host or "%" in host:
        raise FeedAddressError("url", "not the address of a feed: write https://HOST")
    if "@" in parts.path or "@" in parts.fragment or ("@" in parts.query and not parts.path):
        raise FeedAddressError("url", f"an @ behind the host: {_ENCODE}, and write %40 for one in a path")
    if parts.fragment:
        raise FeedAddressError("url", "a server never gets what follows # in a URL: leave it out, or write %23")
    place = f"[{host}]" if ":" in host else host
    return parts, f"{_BASE_SCHEMES[parts.scheme]}://{place}{'' if port is None else f':{port}'}"


def _is_engine(path: str, pairs: Sequence[tuple[str, str]]) -> bool:
    """Return whether the URL is that of an Engine.IO request, and not a namespace's."""
    names = path.strip("/").split("/")
    if any(name == "EIO" for name, _ in pairs) or names[-1] in _ENGINE_NAMES:
        return True
    if any(name in _ENGINE_NAMES for name in names):
        raise FeedAddressError("url", "name the Engine.IO path and the namespace by an option each, path and namespace")
    return False


def _one(what: str, in_url: str, option: str | None) -> str:
    if in_url and option and in_url.strip("/") != option.strip("/"):
        raise FeedAddressError(what, f"the URL names another {what} than the option: give one of them")
    return option or in_url


def _path(path: str) -> str:
    if "?" in path or "#" in path or _UNUSABLE.search(path):
        raise FeedAddressError("path", "a path has no ?, # or space: its query has an option of its own")
    return f"/{path.strip('/')}/".replace("//", "/") if path else DEFAULT_PATH


def _namespace(namespace: str) -> str:
    if re.search("[,?#]", namespace) or _UNUSABLE.search(namespace):
        raise FeedAddressError("namespace", "a namespace has no comma, ?, # or space")
    return namespace if namespace.startswith("/") else f"/{namespace}"


def _pairs(query: str, option: str, what: str = "") -> tuple[tuple[str, str], ...]:
    if _UNUSABLE.search(query):
        raise FeedAddressError(option, f"{what}a space, or another character that no URL has: percent-encode it")
    try:
        return tuple(parse_qsl(query.removeprefix("?"), keep_blank_values=True, errors="strict"))
    except ValueError:
        raise FeedAddressError(option, f"{what}not UTF-8: write NAME=VALUE&NAME=VALUE, percent-encoded") from None


def _own_query(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return what of the query is the feed's own, without what each Engine.IO request says for itself."""
    for name, value in pairs:
        if name == "EIO" and value != _PROTOCOL:
            raise FeedAddressError("url", f"Engine.IO {value[:8]} is not spoken: leave out EIO, or say {_PROTOCOL}")
        if name == "sid":
            raise FeedAddressError("url", "the URL is that of a browser's own connection: leave out sid and its value")
    return tuple((name, value) for name, value in pairs if name not in ("EIO", "transport"))


def _transports(option: str, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the transports to try; without an option that of a URL comes first."""
    in_url = next((value for name, value in pairs if name == "transport"), None)
    names = [name.strip() for name in option.split(",") if name.strip()]
    for name in [*names, *([in_url] if in_url is not None else [])]:
        if name not in TRANSPORTS:
            raise FeedAddressError("transports", f"no such transport; there are {' and '.join(TRANSPORTS)}")
    if names:
        return tuple(dict.fromkeys(names))
    return tuple(sorted(TRANSPORTS, key=lambda name: name != in_url)) if in_url else TRANSPORTS


def _authorization(parts: SplitResult) -> tuple[tuple[str, str], ...]:
    credentials = parts.netloc.rpartition("@")[0]
    if not credentials:
        return ()
    user, _, password = credentials.partition(":")
    try:
        return (("Authorization", basic(unquote(user, errors="strict"), unquote(password, errors="strict"))),)
    except ValueError:
        raise FeedAddressError("url", f"the user or the password is not UTF-8: {_ENCODE}") from None


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization header."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def given_text(text: str, what: str) -> str:
    """Return the text, or what the file behind an ``@`` holds."""
    if not text.startswith("@"):
        return text
    file = Path(text[1:]).expanduser()
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise FeedAddressError(what, f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise FeedAddressError(what, f"{file} is not UTF-8") from None


def _headers(text: str, *, has_user: bool) -> tuple[tuple[str, str], ...]:
    found = _header_object(text) if text.lstrip().startswith("{") else _header_lines(text)
    for name, value in found:
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise FeedAddressError("headers", "not a header: write `Name: value`, one a line")
        if _OWN_HEADERS.fullmatch(name):
            raise FeedAddressError("headers", f"the connection itself sets {name}: leave it out")
        if has_user and name.lower() == "authorization":
            raise FeedAddressError("headers", "the URL has a user, which makes the header Authorization: leave out one")
    return found


def _header_lines(text: str) -> tuple[tuple[str, str], ...]:
    lines = (line.partition(":") for line in text.splitlines() if line.strip())
    return tuple((name.strip() if colon else "", value.strip()) for name, colon, value in lines)


def _header_object(text: str) -> tuple[tuple[str, str], ...]:
    found = _json_object(text, "headers")
    if not all(isinstance(value, str) for value in found.values()):
        raise FeedAddressError("headers", "not a header: each value of the JSON object is a string")
    return tuple(found.items())


def _payload(text: str) -> Mapping[str, Any] | None:
    return _json_object(text, "auth") if text.strip() else None


def _json_object(text: str, what: str) -> dict[str, Any]:
    def refuse(_: str) -> None:
        raise ValueError

    try:
        found = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise FeedAddressError(what, 'not a JSON object: write {"token": "…"}, or @FILE') from None
    return found


def _ca_file(file: Path | None, base: str) -> Path | None:
    if base.startswith("https:") and (file or os.environ.get("SSL_CERT_FILE")):
        tls_context(file)  # now, and not at the first connection
    return file


def _proxy(option: str | None, base: str) -> str | None:
    try:
        return parse_proxy(option) if option else environment_proxy(base)
    except ValueError as error:
        raise FeedAddressError("proxy" if option else None, str(error)) from None
