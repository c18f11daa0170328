"""What a feed's URL and the options beside it mean: nothing is dropped, nothing secret is shown or quoted."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_capture.feed_address import TRANSPORTS, FeedAddress, FeedAddressError, parse_feed
from rugs_capture.feed_proxy import environment_proxy

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy") or name == "SSL_CERT_FILE":
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("url", "options", "meaning", "shown"),
    [
        ("https://h", {}, {"base": "https://h", "transports": TRANSPORTS}, "https://h"),
        ("https://h/", {}, {"namespace": "/", "path": "/socket.io/"}, "https://h"),
        ("ws://H:1", {}, {"base": "http://h:1"}, "http://h:1"),
        ("wss://[::1]:8", {}, {"base": "https://[::1]:8"}, "https://[::1]:8"),
        ("https://h?x=1&x=2&y", {}, {"query": (("x", "1"), ("x", "2"), ("y", ""))}, "https://h?x=1&x=2&y="),
        ("https://h/prices", {}, {"namespace": "/prices"}, "https://h/prices"),
        ("https://h/a/b%20c/", {}, {"namespace": "/a/b%20c/", "path": "/socket.io/"}, "https://h/a/b%20c/"),
        ("https://h", {"namespace": "prices"}, {"namespace": "/prices"}, "https://h/prices"),
        ("https://h/prices", {"namespace": "/prices"}, {"namespace": "/prices"}, "https://h/prices"),
        ("https://h/n", {"path": "ws/feed"}, {"path": "/ws/feed/", "namespace": "/n"}, "https://h/n (path /ws/feed/)"),
        ("https://h", {"path": "/"}, {"path": "/"}, "https://h (path /)"),
        ("https://h/socket.io/?EIO=4&transport=websocket", {}, {"query": (), "namespace": "/"}, "https://h"),
        ("wss://h/a/socket.io", {}, {"path": "/a/socket.io/", "namespace": "/"}, "https://h (path /a/socket.io/)"),
        ("wss://h/engine.io/", {"namespace": "n"}, {"path": "/engine.io/", "namespace": "/n"}, None),
        ("wss://h/a/?EIO=4&transport=polling&t=x", {}, {"path": "/a/", "transports": ("polling", "websocket")}, None),
        ("wss://h/a/socket.io/", {"path": "/a/socket.io"}, {"path": "/a/socket.io/"}, None),
        ("https://h", {"transports": "polling"}, {"transports": ("polling",)}, None),
        ("https://h?transport=polling", {"transports": "websocket,polling"}, {"transports": TRANSPORTS}, None),
        ("https://h?a=1", {"query": "b=2&a=%2B"}, {"query": (("a", "1"), ("b", "2"), ("a", "+"))}, None),
        ("https://h", {"auth": '{"token":"t"}'}, {"auth": {"token": "t"}}, "https://h"),
        ("https://h", {"headers": "Origin: https://o\nX:\n"}, {"headers": (("Origin", "https://o"), ("X", ""))}, None),
        ("https://h", {"headers": '{"Cookie": "a=b; c=d"}'}, {"headers": (("Cookie", "a=b; c=d"),)}, None),
        ("https://h", {"proxy": "u:p@x:3128"}, {"proxy": "http://u:p@x:3128"}, "https://h"),
        ("https://h/n?token=t&page=1", {}, {"query": (("token", "t"), ("page", "1"))}, "https://h/n?token=***&page=1"),
    ],
)
def test_what_an_address_means(url: str, options: dict[str, Any], meaning: dict[str, Any], shown: str | None) -> None:
    address = parse_feed(url, **options)
    assert {name: getattr(address, name) for name in meaning} == meaning
    assert shown is None or address.shown == shown


@pytest.mark.parametrize(
    ("url", "options", "about", "says"),
    [
        ("h:80", {}, "url", "write https://HOST"),
        ("ftp://u:hunter2@h", {}, "url", "write https://HOST"),
        ("https://", {}, "url", "write https://HOST"),
        ("https://[hunter2/", {}, "url", "write https://HOST"),
        ("https://u:hunter2@h:70000", {}, "url", "write https://HOST"),
        ("https://u:hunter2\u2100@h", {}, "url", "write https://HOST"),
        ("https://u:%ff@h", {}, "url", "not UTF-8"),
        ("https://u:hunter2/x@h", {}, "url", "%2F"),
        ("https://u:1/hunter2@h", {}, "url", "%2F"),
        ("https://u:1#hunter2@h", {}, "url", "%23"),
        ("https://u:1?hunter2@h", {}, "url", "%3F"),
        ("https://h/n#hunter2", {}, "url", "%23"),
        ("https://h/?a=hunter2 b", {}, "url", "%20"),
        ("https://h/?a=\thunter2", {}, "url", "%20"),
        ("https://h/?a=%ff", {}, "url", "UTF-8"),
        ("https://h/socket.io/?EIO=3", {}, "url", "Engine.IO 3"),
        ("https://h/socket.io/?EIO=4&transport=polling&sid=hunter2", {}, "url", "leave out sid"),
        ("https://h/socket.io/n", {}, "url", "path and namespace"),
        ("https://h?transport=webtransport", {}, "transports", "websocket and polling"),
        ("https://h/a,b", {}, "namespace", "no comma"),
        ("https://h/a", {"namespace": "b"}, "namespace", "give one of them"),
        ("https://h/a/socket.io/", {"path": "/b/"}, "path", "give one of them"),
        ("https://h", {"path": "/a?b"}, "path", "has no ?"),
        ("https://h", {"query": "a=hunter2 b"}, "query", "percent-encode"),
        ("https://h", {"transports": "smoke"}, "transports", "websocket and polling"),
        ("https://h", {"headers": "hunter2"}, "headers", "Name: value"),
        ("https://h", {"headers": "A: hunter2\x00"}, "headers", "Name: value"),
        ("https://h", {"headers": '{"A": 1}'}, "headers", "a string"),
        ("https://h", {"headers": '{"A": "hunter2'}, "headers", "JSON object"),
        ("https://h", {"headers": "Upgrade: hunter2"}, "headers", "leave it out"),
        ("https://u:hunter2@h", {"headers": "authorization: hunter2"}, "headers", "leave out one"),
        ("https://h", {"headers": "@/nosuch/file"}, "headers", "cannot read /nosuch/file"),
        ("https://h", {"auth": "hunter2"}, "auth", "JSON object"),
        ("https://h", {"auth": '["hunter2"]'}, "auth", "JSON object"),
        ("https://h", {"auth": '{"hunter2": NaN}'}, "auth", "JSON object"),
        ("https://h", {"auth": "[" * 100_000}, "auth", "JSON object"),
        ("https://h", {"ca_file": Path("/nosuch/file")}, "ca_file", "cannot read /nosuch/file"),
        ("https://h", {"ca_file": Path(__file__)}, "ca_file", "no certificates"),
        ("https://h", {"proxy": "socks5://u:hunter2@h:1"}, "proxy", "SOCKS"),
        ("https://h", {"proxy": "http://u:hunter2"}, "proxy", "not an HTTP proxy"),
        ("https://h", {"proxy": "http://u:hunter2@h/way"}, "proxy", "not an HTTP proxy"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_says_what_to_do(
    url: str, options: dict[str, Any], about: str, says: str
) -> None:
    with pytest.raises(FeedAddressError) as refused:
        parse_feed(url, **options)
    assert refused.value.option == about
    assert says in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


@given(ANY.filter(bool), ANY, st.lists(st.tuples(ANY, ANY), max_size=4), st.dictionaries(ANY, ANY))
def test_whatever_is_in_it_comes_out_and_no_secret_is_shown(
    user: str, password: str, query: list[tuple[str, str]], auth: dict[str, str]
) -> None:
    query = [(f"q{name}", value) for name, value in query]
    url = f"https://{quote(user, safe='')}:{quote(password, safe='')}@host/n?{urlencode(query)}"
    address = parse_feed(url, query=urlencode({"token": f"XyZZy{password}"}), auth=json.dumps(auth))
    [(header, value)] = address.headers
    assert (header, b64decode(value.removeprefix("Basic ")).decode()) == ("Authorization", f"{user}:{password}")
    assert address.query == (*query, ("token", f"XyZZy{password}"))
    assert address.auth == auth
    assert address.shown.startswith("https://host/n?")
    assert "XyZZy" not in address.shown + repr(address) + str(address)


def test_files_hold_what_must_not_be_seen_in_a_list_of_processes(tmp_path: Path) -> None:
    (tmp_path / "auth").write_text('{"token": "t"}\n')
    (tmp_path / "headers").write_text("Cookie: a=b\r\nX-Key: k\n")
    address = parse_feed("https://h", auth=f"@{tmp_path}/auth", headers=f"@{tmp_path}/headers")
    assert address.auth == {"token": "t"}
    assert address.headers == (("Cookie", "a=b"), ("X-Key", "k"))


@pytest.mark.parametrize(
    ("variables", "base", "proxy"),
    [
        ({}, "https://h", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://h", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://h", None),
        ({"HTTP_PROXY": "p:1"}, "http://h", "http://p:1"),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "https://h", "http://a:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b:1"}, "https://h", None),
        ({"ALL_PROXY": "http://p:1"}, "https://h", "http://p:1"),
        ({"all_proxy": "http://p:1", "http_proxy": "http://q:1"}, "http://h", "http://q:1"),
        ({"HTTPS_PROXY": "http://u@x:p@/w#@p:1"}, "https://h", "http://u%40x:p%40%2Fw%23@p:1"),
        ({"HTTPS_PROXY": "http://u:p%40w@p:1"}, "https://h", "http://u:p%40w@p:1"),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "a, h ,b"}, "https://h:8", None),
        ({"HTTPS_PROXY": "p:1", "no_proxy": ".b.c"}, "https://a.b.c", None),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "b.c"}, "https://ab.c", "http://p:1"),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "h:9"}, "https://h:8", "http://p:1"),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "h:8"}, "https://h:8", None),
        ({"ALL_PROXY": "p:1", "NO_PROXY": "*"}, "https://h", None),
        ({"ALL_PROXY": "p:1", "NO_PROXY": "10.0.0.0/8,x"}, "https://10.1.2.3:8", None),
        ({"ALL_PROXY": "p:1", "NO_PROXY": "[::1]"}, "https://[::1]:8", None),
        ({"ALL_PROXY": "p:1", "NO_PROXY": "[::1]:8,H.a"}, "https://[::1]:8", None),
        ({"ALL_PROXY": "p:1", "NO_PROXY": "::1,H.a"}, "https://h.A", None),
        ({"ALL_PROXY": "p:1", "NO_PROXY": ",.,::2,10.1.2.0/24"}, "https://10.1.3.1", "http://p:1"),
        ({"ALL_PROXY": "p:1", "NO_PROXY": "10.0.0.0/8"}, "https://11.1.2.3", "http://p:1"),
    ],
)
def test_proxies_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], base: str, proxy: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment_proxy(base) == proxy
    assert parse_feed(base.replace("http", "ws", 1)).proxy == proxy


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "socks5h://u:hunter2@h:1"), ("HTTPS_PROXY", "x://u:hunter2@h"), ("SSL_CERT_FILE", "/nosuch")],
)
def test_a_variable_of_the_environment_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(FeedAddressError, match=f"^{name}: ") as refused:
        parse_feed("https://h")
    assert refused.value.option is None
    assert "hunter2" not in str(refused.value)


def test_an_address_has_defaults() -> None:
    assert parse_feed("https://h") == FeedAddress("https://h")
