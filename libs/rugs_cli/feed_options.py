"""Options of a command that name a feed, and the settings that a program gets for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode

import typer

from rugs_cli.output import CommandError

if TYPE_CHECKING:
    from rugs_runtime.settings import Settings

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="The feed: https://HOST/NAMESPACE, or the whole URL of an Engine.IO request;"
        " for cdp, where Chrome listens: http://127.0.0.1:9222.",
    ),
]
EnginePath = Annotated[
    str | None, typer.Option("--path", help="Path of the Engine.IO requests, /socket.io/ by default.", metavar="PATH")
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", help="Namespace, instead of the URL's path.", metavar="NAME")
]
Query = Annotated[
    list[str] | None,
    typer.Option("--query", help="One more of the URL's query; may be repeated.", metavar="NAME=VALUE"),
]
Header = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        "-H",
        help="Header (Origin, User-Agent, Cookie, …), or @FILE; may be repeated.",
        metavar="NAME:VALUE",
    ),
]
Auth = Annotated[
    str | None,
    typer.Option(
        "--auth", help="Socket.IO auth payload; @FILE hides it from `ps`, as RUGS_FEED_AUTH does.", metavar="JSON"
    ),
]
Transports = Annotated[
    str | None,
    typer.Option("--transports", help="Transports to try, in order: websocket, polling.", metavar="NAMES"),
]
CaFile = Annotated[
    Path | None, typer.Option("--ca-file", help="PEM file of the authorities to trust instead of the system's.")
]
Proxy = Annotated[
    str | None,
    typer.Option("--proxy", help="HTTP proxy, instead of that of the environment (HTTPS_PROXY, …).", metavar="URL"),
]

_OPTIONS: Final = {"headers": "--header", "ca_file": "--ca-file"}
"""Options that are not called as the parameter of `parse_feed`."""


def feed_environment(settings: Settings, given: dict[str, Any]) -> dict[str, str]:
    """Return the settings that say what the options, of those of `parse_feed`, say.

    Raises:
        typer.BadParameter: if one of them cannot be used.
        CommandError: if a setting cannot be used.
    """
    from rugs_capture.feed_address import FeedAddressError, given_text, parse_feed
    from rugs_runtime.settings import environment_name

    given = {name: value for name, value in given.items() if value is not None and value != []}
    try:
        if "headers" in given:
            given["headers"] = "\n".join(given_text(header, "headers") for header in given["headers"])
        if "query" in given:
            given["query"] = urlencode([_pair(item) for item in given["query"]])
        options = settings.feed_options | given
        if "url" not in options:
            raise typer.BadParameter("name the feed: https://HOST", param_hint="--url")
        parse_feed(**options)
    except FeedAddressError as error:
        name = error.option
        if name in given:
            raise typer.BadParameter(str(error), param_hint=_OPTIONS.get(name, f"--{name}")) from None
        of = f"{environment_name(f'feed_{name}')}: " if name else ""
        raise CommandError(f"{of}{error}") from None
    return {environment_name(f"feed_{name}"): str(value) for name, value in given.items()}


def check_feeds(settings: Settings) -> None:
    """Check the address of every feed that the settings name.

    Raises:
        CommandError: if one of them cannot be used.
    """
    from rugs_capture.feed_address import FeedAddressError, parse_feed

    if settings.feed_url is not None:
        feed_environment(settings, {})
    for name, options in settings.named_feeds.items():
        try:
            parse_feed(**options)
        except FeedAddressError as error:
            raise CommandError(f"RUGS_FEEDS: {name}: {error}") from None


def chrome_environment(url: str | None) -> dict[str, str]:
    """Return the settings that say where Chrome listens.

    Raises:
        typer.BadParameter: if the URL says something else.
    """
    from rugs_core.host_address import parse_host_address

    if url is None:
        return {}
    address = parse_host_address(url, ("http",))
    if address is None or address.user is not None or address.path.strip("/"):
        raise typer.BadParameter("where Chrome listens: http://HOST:PORT", param_hint="--url")
    return {"RUGS_CDP_HOST": address.host, "RUGS_CDP_PORT": str(address.port or 9222)}


def _pair(item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not name or not equals:
        raise typer.BadParameter("write NAME=VALUE", param_hint="--query")
    return name, value
