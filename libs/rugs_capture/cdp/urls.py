"""Addresses of pages and sockets, as they are recorded."""

from __future__ import annotations

from urllib.parse import urlsplit


def bare(url: str | None) -> str | None:
    """Return a URL without what may be secret in it: user, query and fragment."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    except ValueError:
        return url.partition("?")[0].partition("#")[0]
