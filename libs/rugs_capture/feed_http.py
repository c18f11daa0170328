"""What aiohttp needs to reach a feed, and what its errors mean."""

from __future__ import annotations

import ssl
from typing import Any

from rugs_capture.feed_address import FeedAddress


def request_options(address: FeedAddress) -> dict[str, Any]:
    """Return the arguments of every aiohttp request to the feed, ``ws_connect`` too: headers, ssl, proxy."""
    options: dict[str, Any] = {"headers": list(address.headers)}
    if address.base.startswith("https:"):
        options["ssl"] = ssl.create_default_context(cafile=address.ca_file)
    if address.proxy:
        options["proxy"] = address.proxy
    return options


def explain(error: BaseException, address: FeedAddress) -> str:
    """Return in one line, without secrets, why a request to the feed failed, and what to do."""
    return str(error) or type(error).__name__
