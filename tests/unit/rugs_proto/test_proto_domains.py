"""A domain of a test's own, and its keyed ids: both validators compute and check them alike."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_proto import codec, doc_types, domains, ids, wire
from rugs_proto.domains.domain import Domain
from tests.support.decoders import Decoder, by_codec, by_wire
from tests.support.jsons import texts
from tests.support.notes import NOTES, note, notes_registered

CAUSE = "0123456789abcdef" * 2
both = pytest.mark.parametrize("decode", [by_codec, by_wire])


@pytest.fixture(autouse=True, scope="module")
def _notes() -> Iterator[None]:
    with notes_registered():
        yield


def packed(**changes: Any) -> bytes:
    return bytes(msgpack.packb(note(**changes)))


def id_of(key: str, scope: str = "scope-1") -> str:
    """The id from the definition alone, without our code."""
    return blake2b(msgpack.packb(["note", scope, key]), digest_size=16, person=b"rugs.keyed.1").hexdigest()


SAME = {
    "with its id": packed(id=id_of("k")),
    "later": packed(ts=note()["ts"] + 5),
    "from elsewhere": packed(source="other", direction="received", event="", player_id="p", username="u"),
    "other content": packed(text="x", price=2),
    "other bytes": packed(raw=b"\xff"),
    "no bytes": packed(raw=...),
    "caused": packed(raw=..., cause=CAUSE),
}
OTHERS = {"other key": packed(key="l"), "other scope": packed(scope="scope-2")}
REFUSED = {
    "a position": packed(seq=2),
    "no key": packed(fields={}),
    "a key of another type": packed(fields={"key": 1}),
    "another id": packed(id="0" * 32),
    "a received event's id": packed(id=ids.event_id("my_agent", "scope-1", 1, '{"as": "received"}')),
    "a derived id": packed(raw=..., cause=CAUSE, id=ids.derived_id("note", CAUSE, 0)),
    "id in upper case": packed(id=id_of("k").upper()),
    "raw and cause": packed(cause=CAUSE),
    "bytes elsewhere": packed(raw=..., blob="b" * 64),
    "bytes elsewhere and its id": packed(raw=..., blob="b" * 64, id=id_of("k")),
    "cause malformed": packed(raw=..., cause="x"),
    "blob malformed": packed(raw=..., blob="x"),
}


@both
@pytest.mark.parametrize("body", SAME.values(), ids=SAME.keys())
def test_the_key_alone_makes_the_id(decode: Decoder, body: bytes) -> None:
    assert [seen.id for seen in decode(body)] == [id_of("k")]


@both
@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS.keys())
def test_another_key_makes_another_id(decode: Decoder, body: bytes) -> None:
    assert [seen.id for seen in decode(body)] != [id_of("k")]


@both
@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_refuses(decode: Decoder, body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's and ours; the reasons differ
        decode(body)


@given(texts(30), texts(30).filter(bool), st.integers(1, 2))
def test_both_validators_agree(key: str, scope: str, seq: int) -> None:
    body = packed(key=key, scope=scope, seq=seq)
    if seq == 1:
        assert by_codec(body) == by_wire(body)
        assert codec.encode(codec.decode(body)) == codec.encode(codec.decode(packed(key=key, scope=scope)))
        assert [event.digest.hex() for event in wire.judge(body).events] == [id_of(key, scope)]
    else:
        for decode in (by_codec, by_wire):
            with pytest.raises(ValueError, match="seq of a keyed event is 1"):
                decode(body)


def test_doc_types_that_are_not_keyed_are_as_before() -> None:
    (seen,) = by_wire(packed(doc_type="note_seen", seq=7))
    assert seen.id == ids.event_id("my_agent", "scope-1", 7, '{"as": "received"}')


def test_a_registered_domain_is_known_and_none_twice() -> None:
    assert {"note", "note_seen", "game_tick", "reject"} <= set(doc_types())
    for domain in (NOTES, Domain("more notes", ("note",)), Domain("gaps", ("system_event",))):
        with pytest.raises(ValueError, match="registered already"):
            domains.register(domain)
