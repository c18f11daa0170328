"""Addresses of servers: every password works, encoded or, almost always, as it is; none is ever quoted."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rugs_bus.address import BrokerAddressError, parse_broker_address
from rugs_core.host_address import HostAddress, parse_host_address

ANY = st.text(min_size=1, max_size=12)
AS_IS = st.text(st.characters(exclude_characters="%,", exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=12)


@given(
    st.text(max_size=8), ANY, st.sampled_from(["host", "10.0.0.1", "::1", "a-b.c_d"]), st.none() | st.integers(1, 65535)
)
@example("rec@order", "p@ss/w:rd#1", "host", None)
@example("", "%41", "::1", 1)
def test_every_user_and_password_is_read_as_it_was_written(
    user: str, password: str, host: str, port: int | None
) -> None:
    address = HostAddress("nats", host, port, user, password)
    assert parse_host_address(address.url, ["nats"]) == address
    assert repr(address) == repr(HostAddress("nats", host, port))


@given(AS_IS.filter(lambda text: ":" not in text and "://" not in text), AS_IS)
@example("rec@order", "p@ss/w:rd#1")
@example("u", "?://@h")
def test_a_password_that_nobody_encoded_works_too(user: str, password: str) -> None:
    [server] = parse_broker_address(f"nats://{user}:{password}@host").servers
    assert (server.user, server.password, server.bare) == (user, password, "nats://host:4222")


@pytest.mark.parametrize(
    ("text", "url", "shown"),
    [
        ("nats://h", "nats://h:4222", "nats://h:4222"),
        (" TLS://H:1/ ", "tls://H:1", "tls://H:1"),
        ("nats://token@h:1", "nats://token@h:1", "nats://***@h:1"),
        ("nats://u:p@ss@h:1", "nats://u:p%40ss@h:1", "nats://***@h:1"),
        ("nats://u:100%@h:1", "nats://u:100%25@h:1", "nats://***@h:1"),
        ("nats://u:@h:1", "nats://u:@h:1", "nats://***@h:1"),
        ("nats://u:p@a:1,b,[::1]:2", "nats://u:p@a:1,nats://u:p@b:4222,nats://u:p@[::1]:2", None),
        ("nats://u:p@a:1, nats://u:p@b:1", "nats://u:p@a:1,nats://u:p@b:1", "nats://***@a:1,nats://***@b:1"),
        ("nats://u:p@a:1,u:p@b:1,", "nats://u:p@a:1,nats://u:p@b:1", None),
        ("nats://a:1,tls://b:1", "nats://a:1,tls://b:1", "nats://a:1,tls://b:1"),
        ("wss://t@h/way", "wss://t@h/way", "wss://***@h/way"),
    ],
)
def test_addresses_of_a_broker(text: str, url: str, shown: str | None) -> None:
    address = parse_broker_address(text)
    assert address.url == url
    assert parse_broker_address(address.url) == address
    assert shown is None or address.shown == shown


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a NATS address"),
        (",", "not a NATS address"),
        ("h:4222", "not a NATS address"),
        ("http://u:hunter2@h", "not a NATS address"),
        ("nats://", "not a NATS address"),
        ("nats://u:hunter2", "not a NATS address"),
        ("nats://u:hunter2@", "not a NATS address"),
        ("nats://u:hunter2@h:70000", "not a NATS address"),
        ("nats://u:hunter2@h x", "not a NATS address"),
        ("nats://u:hunter2\udcff@h", "not a NATS address"),
        ("nats://u:hunter2@[::1", "not a NATS address"),
        ("nats://u:hunter2@h/way", "has no path"),
        ("nats://u:1,hunter2@h", "%2C for a comma"),
        ("nats://u:hunter2,3@h", "not a NATS address"),
        ("nats://u:hunter2@a,nats://u:hunter3@b", "the same user"),
        ("nats://u:hunter2@a,ws://u:hunter2@b", "all ws://"),
    ],
)
def test_an_address_that_cannot_be_used_says_what_to_write_and_quotes_nothing(text: str, why: str) -> None:
    with pytest.raises(BrokerAddressError, match=why) as refused:
        parse_broker_address(text)
    assert "hunter" not in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.text(st.sampled_from("nats://@:,[]%#? 1uh"), max_size=24))
def test_any_other_text_is_an_address_or_a_clear_error(text: str) -> None:
    try:
        address = parse_broker_address(text)
    except BrokerAddressError:
        return
    assert parse_broker_address(address.url) == address
