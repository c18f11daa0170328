"""The HTTP proxy on the way to a feed: from an option, or from the environment as other programs read it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from rugs_core.host_address import parse_host_address

_SCHEMES: Final = ("http", "https")
_VARIABLES: Final = {"http": ("http", "ws", "all"), "https": ("https", "wss", "all")}
"""For each scheme of a feed, beginnings of the variables that count, the first one that is set."""


def parse_proxy(text: str, of: str = "") -> str:
    """Return a proxy's URL, with percent-encoded credentials; ``http://`` may be left out.

    Raises:
        ValueError: if it cannot be used; the text begins with `of` and quotes nothing.
    """
    address = parse_host_address(text, _SCHEMES, "http")
    if text.strip().lower().startswith("socks"):
        raise ValueError(f"{of}a SOCKS proxy cannot be used: name an HTTP proxy, or the feed's host in NO_PROXY")
    if address is None or address.path.strip("/"):
        raise ValueError(f"{of}not an HTTP proxy: write http://[USER:PASSWORD@]HOST:PORT")
    return address.url


def environment_proxy(base: str) -> str | None:
    """Return the proxy that the environment names for a host, or None; small letters count before capital ones.

    Raises:
        ValueError: if it names one that cannot be used.
    """
    parts = urlsplit(base)
    proxies = getproxies_environment()
    name = next((name for name in _VARIABLES[parts.scheme] if proxies.get(name)), None)
    if name is None or _is_excluded(parts.hostname or "", parts.port, proxies.get("no", "")):
        return None
    return parse_proxy(proxies[name], f"{name.upper()}_PROXY: ")


def _is_excluded(host: str, port: int | None, items: str) -> bool:
    """Return whether NO_PROXY names the host: all, its name or domain, its address or network, with a port or not."""
    return any(_matches(host, port, item.strip().lower()) for item in items.split(","))


def _matches(host: str, port: int | None, item: str) -> bool:
    if item == "*":
        return True
    try:
        return ip_address(host) in ip_network(item.strip("[]"), strict=False)
    except ValueError:  # one of them is a name, or the item has a port
        pass
    place, colon, number = item.rpartition(":")
    if colon and number != str(port):
        return False
    name = (place if colon else item).strip("[]").lstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))
