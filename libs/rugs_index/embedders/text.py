"""Texts as embedders take them: Unicode that can be encoded."""

from __future__ import annotations

import hashlib


def encodable(text: str) -> str:
    """Return the text with each lone surrogate as its escape, as in the ids of chunks."""
    return text if text.isascii() else _utf8(text).decode()


def text_hash(text: str) -> bytes:
    """Return the SHA-256 of a text: 32 bytes."""
    return hashlib.sha256(_utf8(text)).digest()


def _utf8(text: str) -> bytes:
    return text.encode(errors="backslashreplace")
