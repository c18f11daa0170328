"""Which sources the settings ask for."""

from __future__ import annotations

from typing import NamedTuple

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
    raise NotImplementedError(name)
