"""Which values name or quote people, and what stands in their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from rugs_discovery.formats import format_of
from rugs_discovery.paths import Step
from rugs_discovery.sample import Scalar

_NAMES: Final = ("username", "displayname", "playername", "nickname", "screenname")
"""What a key ends in that holds a name, in lower case without separators."""
_KEYS: Final = {
    "name": "name",
    **dict.fromkeys(("message", "text", "bio", "content"), "text"),
    **dict.fromkeys(("playerid", "userid", "did"), "player id"),
    **dict.fromkeys(("email", "ip", "avatar", "avatarurl", "profilepicture"), "personal"),
    **dict.fromkeys(("token", "usertoken", "password", "secret", "signature", "publickey"), "secret"),
    **dict.fromkeys(("wallet", "address", "walletaddress"), "wallet address"),
}
"""What keys hold that name or quote people, in lower case without separators."""
_FORMATS: Final = {"did": "player id", "wallet-address": "wallet address"}


def is_personal(steps: Sequence[Step], formats: Iterable[str]) -> bool:
    """Return whether values at a path, of such formats, name or quote people."""
    return _kind(steps) is not None or any(each in _FORMATS for each in formats)


def masked(value: Scalar, steps: Sequence[Step]) -> Scalar:
    """Return what stands for a value that is personal; numbers and values that are not stay as they are."""
    if not isinstance(value, str):
        return value
    kind = _kind(steps) or _FORMATS.get(format_of(value))
    return value if kind is None else f"<{kind}>"


def _kind(steps: Sequence[Step]) -> str | None:
    last = next((step for step in reversed(steps) if isinstance(step, str)), "")
    key = re.sub(r"[_\W]", "", last).lower()
    return "name" if key.endswith(_NAMES) else _KEYS.get(key)
