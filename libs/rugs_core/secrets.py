"""The rules that find secrets in text, so that nobody stores, logs or shows them.

A secret here is what a URL or a message gives away by its form: the user and the password before a
host, the value of a query key that names a secret, a JSON Web Token, and a quoted value under such a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, unquote_plus

MASK: Final = "***"

_LONG: Final = re.compile(
    "token|passw(or)?d|passphrase|passcode|secret|credential|authoriz|authenticat|signature|session|sessid|cookie"
    "|bearer|apikey|(access|app|auth|client|license|private|sign(ing)?|user)key|jwt|hmac|csrf|xsrf"
)
"""Secret wherever it stands in a name."""
_SHORT: Final = frozenset(
    {"auth", "cred", "creds", "key", "otp", "pass", "pin", "pwd", "sess", "sid", "sig", "ticket", "userpwd", "userpass"}
)
"""Secret as a whole word of a name: `author`, `inside` and `keyword` are none."""
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_CREDENTIALS: Final = re.compile(r"(?<=//)[^/?#\s]*@")
_PAIR: Final = re.compile(r"([?&;#])([^?&;#=\s]+)=([^&\s]*)")
_CLOSING: Final = "'\")]>,"
"""What may stand behind a URL in a sentence."""
_QUOTED: Final = re.compile(r"""(["'])([^"'\s]{1,64})\1(\s*[:=]\s*)(["'])((?:\\.|(?!\4).)*)\4""")
_JSON_WEB_TOKEN: Final = re.compile(r"(?<![\w-])eyJ[\w-]+\.eyJ[\w-]+(?:\.[\w-]*)?")
_NESTED: Final = 3
"""How many times a value may be percent-encoded and still be looked into."""


def names_secret(name: str) -> bool:
    """Return whether a value under `name` is secret: a query key, a header or a key of a JSON object."""
    name = unquote_plus(name)
    if _LONG.search(re.sub(r"[\W_]", "", name).lower()):
        return True
    return any(word.lower() in _SHORT for word in _WORD.findall(name)) or name.lower() in _SHORT


def mask_secrets(text: str) -> str:
    """Return `text`, a URL or a message with URLs in it, with `***` in place of each secret."""
    return _masked(text, _NESTED)


def _masked(text: str, depth: int) -> str:
    def pair(match: re.Match[str]) -> str:
        mark, name, whole = match.groups()
        value = whole.rstrip(_CLOSING)
        return f"{mark}{name}={_value(name, value, depth)}{whole[len(value) :]}"

    def quoted(match: re.Match[str]) -> str:
        quote_mark, name, between, value_mark, value = match.groups()
        hidden = MASK if value and names_secret(name) else value
        return f"{quote_mark}{name}{quote_mark}{between}{value_mark}{hidden}{value_mark}"

    text = _CREDENTIALS.sub(f"{MASK}@", text)
    text = _PAIR.sub(pair, text)
    text = _QUOTED.sub(quoted, text)
    return _JSON_WEB_TOKEN.sub(MASK, text)


def _value(name: str, value: str, depth: int) -> str:
    if value and names_secret(name):
        return MASK
    plain = unquote(value)
    if plain != value and depth:
        masked = _masked(plain, depth - 1)
        return value if masked == plain else quote(masked, safe="*")
    return value


def mask_values(content: Any) -> Any:
    """Return plain JSON content with `***` for each of its values: keys and shape stay."""
    if isinstance(content, Mapping):
        return {key: mask_values(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [mask_values(value) for value in content]
    return MASK
