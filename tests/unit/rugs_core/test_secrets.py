"""Secrets in text: none is left, and what is none is left as it was."""

from __future__ import annotations

import time
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rugs_core.secrets import MASK, mask_secrets, mask_values, names_secret

SECRET = st.from_regex(r"[a-zA-Z0-9%@:~!$*_-]{0,8}XyZZy[a-zA-Z0-9%@:~!$*_.-]{0,8}", fullmatch=True)
NAMES = [
    *("token", "key", "apikey", "api_key", "secret", "password", "passwd", "pwd", "auth", "authorization", "session"),
    *("sid", "jwt", "signature", "sig", "access_token", "Authorization", "API-KEY", "apiKey", "X-Amz-Signature"),
    *("clientSecret", "userPwd", "refresh.token", "sessionId", "JSESSIONID", "connect.sid", "auth[token]", "x_auth"),
    *("accesskey", "authtoken", "userpassword", "to%6ben", "TOKEN", "csrf", "ticket"),
]
PLAIN = [
    "author",
    "keyword",
    "monkey",
    "inside",
    "design",
    "page",
    "compass",
    "frontend-version",
    "id",
    "EIO",
    "besides",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_secrets(name: str) -> None:
    assert names_secret(name)
    assert names_secret(name.upper())
    assert names_secret(name.lower())


@pytest.mark.parametrize("name", PLAIN)
def test_names_of_none(name: str) -> None:
    assert not names_secret(name)


@given(
    SECRET, st.sampled_from(NAMES), st.sampled_from(["?{}", "?a=1&{}", "#{}", "#/way?{}", ";{}?b=2", "?a=1&{}&b=2#c"])
)
def test_no_secret_under_its_name_survives(secret: str, name: str, place: str) -> None:
    url = "wss://host:1/way" + place.format(f"{name}={quote(secret)}")
    for text in (url, f"Cannot connect to '{url}' [None]", f"({url}), and then", f"\n{url}\n"):
        assert "XyZZy" not in mask_secrets(text)


@given(SECRET, SECRET, st.sampled_from(["https", "nats", "tls", "ws", "http"]), st.booleans())
def test_no_credentials_survive(user: str, password: str, scheme: str, encoded: bool) -> None:
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}" if encoded else f"{user}:{password}"
    for url in (f"{scheme}://{credentials}@host:1/way?a=1", f"{scheme}://{credentials.partition(':')[0]}@host"):
        masked = mask_secrets(f"no answer from {url}: try again")
        assert "XyZZy" not in masked
        assert f"{scheme}://***@host" in masked


@given(SECRET, st.integers(1, 3))
def test_no_secret_survives_in_a_url_within_a_url(secret: str, depth: int) -> None:
    url = f"https://user:{quote(secret)}@inner/?token={quote(secret)}"
    for _ in range(depth):
        url = f"https://outer/?to={quote(url, safe='')}&x=1"
    assert "XyZZy" not in mask_secrets(url)


@given(SECRET.filter(lambda text: not set(text) & set("%\\")))
def test_no_secret_survives_in_json_or_in_headers(secret: str) -> None:
    assert "XyZZy" not in mask_secrets(f'40{{"token": "{secret}", "v": 1}}')
    assert "XyZZy" not in mask_secrets(f"RequestInfo(headers=<CIMultiDict('Authorization': 'Basic {secret}')>)")
    assert "eyJ" not in mask_secrets("way eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP, then")


@given(
    st.sampled_from(["https://host", "wss://host:8080/way/to/@someone", "http://[::1]:80/a;b=c", "ftp://h/%2e%41"]),
    st.lists(st.tuples(st.sampled_from(PLAIN), st.text(max_size=8))),
    st.sampled_from(["", "#", "#part", "#/a@b"]),
)
@example("https://host", [("page", "https://other/?x=a@b.c&y=%41")], "")
@example("https://host", [("page", "%25%41")], "")
def test_a_url_without_secrets_is_unchanged(url: str, query: list[tuple[str, str]], fragment: str) -> None:
    whole = f"{url}{'/?' if query else ''}{urlencode(query)}{fragment}"
    assert mask_secrets(whole) == whole
    assert mask_secrets(f"cannot connect to {whole}: 404, message='no', url='{whole}'") == (
        f"cannot connect to {whole}: 404, message='no', url='{whole}'"
    )


@given(SECRET)
def test_masking_again_changes_nothing_and_the_rest_stays(secret: str) -> None:
    url = f"https://u:{quote(secret, safe='')}@host/way?a=1&token={quote(secret, safe='')}&b=2#top"
    masked = mask_secrets(url)
    assert masked == f"https://***@host/way?a=1&token={MASK}&b=2#top"
    assert mask_secrets(masked) == masked
    assert urlsplit(masked).hostname == "host"


def test_values_of_a_payload_are_masked_and_its_keys_stay() -> None:
    assert mask_values({"token": "t", "n": 5, "in": [{"a": None, "b": True}], "e": {}}) == {
        "token": MASK,
        "n": MASK,
        "in": [{"a": MASK, "b": MASK}],
        "e": {},
    }


@pytest.mark.parametrize(
    "odd", ["'", "?a='", "/", "//", "-eyJ", "&token=", '"a":\'', "%25", "?token=%2525", "@", "a:@//"]
)
def test_a_long_text_takes_no_longer_than_it_is_long(odd: str) -> None:
    start = time.process_time()
    mask_secrets("https://host/?x=" + odd * 100_000)
    assert time.process_time() - start < 5
