"""Which URLs are meant."""

from __future__ import annotations

import re
from typing import Final

_WITH_HOST: Final = re.compile(r"([^/]*://)([^/]*)(.*)", re.DOTALL)


class UrlPatterns:
    """Patterns of whole URLs, with commas between them; ``*`` stands for any characters, all else for itself.

    In the host of a pattern such as ``https://*.example.com/*`` it stands for no slash, so that
    ``https://elsewhere.net/x.example.com/`` is not meant.
    """

    def __init__(self, patterns: str) -> None:
        wanted = [pattern.strip() for pattern in patterns.split(",") if pattern.strip()]
        self.every = "*" in wanted
        """Whether any URL fits, and so one that is not known does as well."""
        self._pattern = re.compile("|".join(map(_expression, wanted)) or r"(?!)", re.DOTALL)

    def fit(self, url: str) -> bool:
        """Return whether one of the patterns is that of the whole URL."""
        return self._pattern.fullmatch(url) is not None


def _expression(pattern: str) -> str:
    if (parts := _WITH_HOST.fullmatch(pattern)) is None:
        return _stars(pattern, ".*")
    scheme, host, path = parts.groups()
    return _stars(scheme, "[^/]*") + _stars(host, "[^/]*") + _stars(path, ".*")


def _stars(text: str, anything: str) -> str:
    return anything.join(re.escape(piece) for piece in text.split("*"))
