"""Which sources the settings ask for."""

from __future__ import annotations

from typing import NamedTuple

from rugs_capture.cdp import CdpSource
from rugs_capture.ingest.bus import BusDoor
from rugs_capture.ingest.http import HttpDoor
from rugs_capture.public import PublicFeed
from rugs_capture.source import Source
from rugs_runtime.settings import Settings


class Wanted(NamedTuple):
    """A source, and what its envelopes say as `source`."""

    source: Source
    kind: str


def build(settings: Settings) -> list[Wanted]:
    """Return the sources that are to be captured, in the settings' order."""
    return [_build(name, settings) for name in dict.fromkeys(settings.capture_sources)]


def _build(name: str, settings: Settings) -> Wanted:
    if name == "public":
        return Wanted(PublicFeed(settings.feed_url or ""), "public_ws")
    if name == "cdp":
        chrome = CdpSource(settings.cdp_host, settings.cdp_port, pages=settings.cdp_pages, sockets=settings.cdp_sockets)
        return Wanted(chrome, "cdp")
    if name == "bus":
        return Wanted(BusDoor(settings.broker_url), "manual")
    token = settings.ingest_token
    door = HttpDoor(
        host=settings.ingest_host,
        port=settings.ingest_port,
        token=token.get_secret_value() if token else None,
        max_body=int(settings.ingest_max_body),
        events_per_second=settings.ingest_rate,
    )
    return Wanted(door, "manual")
