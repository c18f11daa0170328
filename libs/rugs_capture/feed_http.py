"""What aiohttp needs to reach a feed, and what its errors mean."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from rugs_capture.feed_address import FeedAddress, basic, tls_context
from rugs_core.host_address import HostAddress, parse_host_address
from rugs_core.reasons import refusal
from rugs_core.secrets import mask_secrets

_PROXIES: Final = "RUGS_FEED_PROXY, HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names it; NO_PROXY takes a host out"
_PATH: Final = "--path or RUGS_FEED_PATH names another path of Engine.IO"
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


def request_options(address: FeedAddress) -> dict[str, Any]:
    """Return the arguments of every aiohttp request to the feed, ``ws_connect`` too: headers, ssl, proxy.

    Raises:
        FeedAddressError: if the file of certificate authorities cannot be used.
    """
    over_tls = address.base.startswith("https:")
    headers = list(address.headers)
    options: dict[str, Any] = {"headers": headers}
    if over_tls:
        options["ssl"] = tls_context(address.ca_file)
    if (proxy := _proxy(address)) is not None:
        options["proxy"] = proxy.bare
        if proxy.user is not None:
            authorization = ("Proxy-Authorization", basic(proxy.user, proxy.password or ""))
            if over_tls:
                options["proxy_headers"] = dict([authorization])
            else:  # there is no CONNECT: the proxy reads the request itself
                headers.append(authorization)
    return options


def explain(error: BaseException, address: FeedAddress) -> str:
    """Return in one line, without secrets, why a request to the feed failed, and what to do."""
    host = urlsplit(address.base).hostname
    proxy = _proxy(address)
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as wrong):
            return (
                f"the certificate of {host} is not trusted ({wrong.verify_message}): name the file of its"
                " certificate authority with --ca-file or RUGS_FEED_CA_FILE"
            )
        case aiohttp.ClientHttpProxyError() if proxy is not None:
            return f"the proxy {proxy.bare} does not let us through: {error.status} {error.message}: {_PROXIES}"
        case aiohttp.ClientProxyConnectionError() if proxy is not None:
            return f"no proxy answers at {proxy.bare} ({error.os_error.strerror or 'no connection'}): {_PROXIES}"
        case aiohttp.ClientResponseError(status=407) if proxy is not None:
            return f"the proxy {proxy.bare} asks for another user or password: {_PROXIES}"
        case aiohttp.ClientResponseError(__cause__=HttpProcessingError()):
            return f"what answers at {host} does not speak HTTP: is it https instead of http, or another port?"
        case aiohttp.ClientResponseError(status=404):
            return f"the server has nothing at {address.path} (404): {_PATH}"
        case aiohttp.ServerDisconnectedError() if address.namespace != "/":
            return f"the server closes the connection at {address.path} (the namespace is {address.namespace}): {_PATH}"
        case aiohttp.ClientResponseError(status=status) if status in _PHRASES:
            return f"the server answers {status} {_PHRASES[status]}"
        case aiohttp.ClientConnectorSSLError():
            return mask_secrets(f"no TLS with {host}: {refusal(error.os_error)}")
        case aiohttp.ClientConnectorError():
            return mask_secrets(f"no server answers at {host} ({error.os_error.strerror or refusal(error.os_error)})")
    return mask_secrets(refusal(error) if isinstance(error, Exception) else type(error).__name__)


def _proxy(address: FeedAddress) -> HostAddress | None:
    return parse_host_address(address.proxy, ("http", "https"), "http") if address.proxy else None
