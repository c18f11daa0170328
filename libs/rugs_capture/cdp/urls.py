"""Addresses of pages and sockets, as they are recorded."""

from __future__ import annotations

from rugs_core.secrets import mask_secrets


def bare(url: str | None) -> str | None:
    """Return a URL without its query and fragment, and with what else is secret in it masked."""
    return None if url is None else mask_secrets(url).partition("?")[0].partition("#")[0]
