"""Which sources the settings ask for."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from rugs_capture.cdp import CdpSource
from rugs_capture.feed_address import FeedAddress, FeedAddressError, parse_feed
from rugs_capture.ingest.bus import BusDoor
from rugs_capture.ingest.http import HttpDoor
from rugs_capture.public import PublicFeed
from rugs_capture.source import Source
from rugs_runtime.settings import CaptureSettings, SettingsError, environment_name


class Wanted(NamedTuple):
    """A source, and what its envelopes say as `source`."""

    source: Source
    kind: str


_KINDS: Final = {"public": "public_ws", "http": "manual", "bus": "manual"}


def kind_of(name: str) -> str:
    """Return what the envelopes of a source say as `source`: of a feed with a name of its own, that name."""
    return _KINDS.get(name, name)


def build(settings: CaptureSettings) -> list[Wanted]:
    """Return the sources that are to be captured, in the settings' order."""
    return [Wanted(_build(name, settings), kind_of(name)) for name in dict.fromkeys(settings.capture_sources)]


def _build(name: str, settings: CaptureSettings) -> Source:
    feeds = {"public": settings.feed_options, **settings.named_feeds}
    if name in feeds:
        return PublicFeed(_address(name, feeds[name]), name=name, connect_timeout=settings.feed_timeout)
    if name == "cdp":
        return CdpSource(settings.cdp_host, settings.cdp_port, pages=settings.cdp_pages, sockets=settings.cdp_sockets)
    if name == "bus":
        return BusDoor(settings.broker_url)
    token = settings.ingest_token
    return HttpDoor(
        host=settings.ingest_host,
        port=settings.ingest_port,
        token=token.get_secret_value() if token else None,
        max_body=int(settings.ingest_max_body),
        events_per_second=settings.ingest_rate,
    )


def _address(name: str, options: dict[str, Any]) -> FeedAddress:
    try:
        return parse_feed(**options)
    except FeedAddressError as error:
        is_named = name != "public" and error.option == "url"
        field = "feeds" if is_named else f"feed_{error.option}"
        of = f"{environment_name(field)}: " if error.option else ""
        raise SettingsError(f"{of}{f'{name}: ' if is_named else ''}{error}") from None
