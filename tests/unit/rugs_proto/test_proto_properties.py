"""Properties of the contract: whatever is generated travels whole, and both decoders agree on it."""

from __future__ import annotations

import re
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_proto import codec, ids, subjects
from rugs_proto.envelope import DIRECTIONS, TS_END_US, TS_MIN_US, Envelope
from tests.support.decoders import GOOD, Seen, by_codec, by_wire
from tests.support.examples import examples
from tests.support.jsons import texts, values

text = texts(30)
plain = values(text, most=4, leaves=12)
micros = st.integers(TS_MIN_US, TS_END_US - 1)
common = {
    "v": st.just(1),
    "ts": micros,
    "doc_type": st.from_regex(r"[a-z0-9_]{1,64}", fullmatch=True),
    "source": st.from_regex(r"[a-z0-9_]{1,64}", fullmatch=True),
    "session_id": text.filter(bool),
    "seq": st.integers(1, 2**63 - 1),
    "direction": st.sampled_from(DIRECTIONS),
}
optional = {
    "recv_ts": st.none() | micros,
    "event": text,
    "game_id": st.none() | text,
    "player_id": st.none() | text,
    "username": st.none() | text,
    "fields": st.dictionaries(text, plain, max_size=5),
    "origin": st.none() | st.dictionaries(text, st.none() | text | st.integers(-(2**63), 2**64 - 1), max_size=4),
}
hex_id = st.text("0123456789abcdef", min_size=32, max_size=32)
received = st.fixed_dictionaries(common, optional=optional | {"raw": st.none() | text | st.binary(max_size=60)})
ticks = st.fixed_dictionaries(
    common | {"cause": hex_id, "doc_type": st.sampled_from(["game_tick", "game"]), "game_id": text},
    optional={key: strategy for key, strategy in optional.items() if key != "game_id"},
)
caused = st.fixed_dictionaries(common | {"cause": hex_id, "doc_type": st.just("player_action")}, optional=optional)
told = st.builds(
    lambda content, n: {**content, "id": ids.derived_id("player_action", content["cause"], n)},
    caused,
    st.integers(0, ids.MAX_DERIVED - 1),
)
maps = received | ticks | told


@given(st.lists(maps, max_size=4))
def test_what_is_encoded_is_decoded_by_both(contents: list[dict[str, Any]]) -> None:
    envelopes = [Envelope(**content) for content in contents]
    body = codec.encode(envelopes)
    decoded = codec.decode(body)
    assert [e.model_copy(update={"id": e.id or e.computed_id()}) for e in envelopes] == decoded
    assert by_codec(body) == by_wire(body)
    assert codec.encode(decoded) == body


@given(maps, st.sampled_from([*GOOD, "id", "recv_ts", "fields", "origin", "cause", "blob", "other"]), st.data())
def test_both_agree_on_a_value_of_any_kind_under_any_key(
    content: dict[str, Any], key: str, data: st.DataObject
) -> None:
    odd = plain | st.binary(max_size=20) | st.floats() | st.dictionaries(st.integers(-9, 9), plain, max_size=2)
    body = msgpack.packb({**content, key: data.draw(odd | hex_id)})
    assert_same_verdict(body)


@settings(max_examples=examples(300))
@given(maps, st.data())
def test_both_agree_on_damaged_bytes(content: dict[str, Any], data: st.DataObject) -> None:
    """One byte is changed, cut or put in. A key that comes twice is the one thing not judged alike: out of contract."""
    body = bytearray(msgpack.packb(content))
    place = data.draw(st.integers(0, len(body) - 1))
    match data.draw(st.sampled_from(["change", "cut", "insert"])):
        case "change":
            body[place] = data.draw(st.integers(0, 255))
        case "cut":
            del body[place:]
        case _:
            body.insert(place, data.draw(st.integers(0, 255)))
    assert_same_verdict(bytes(body))


@given(st.binary(max_size=100))
def test_neither_stumbles_over_noise(body: bytes) -> None:
    assert_same_verdict(body)


def assert_same_verdict(body: bytes) -> None:
    verdicts: list[list[Seen] | None] = []
    for decode in (by_codec, by_wire):
        try:
            verdicts.append(decode(body))
        except ValueError:
            verdicts.append(None)
    assert verdicts[0] == verdicts[1]


@given(text, text, text)
def test_subjects_are_three_clean_tokens_and_parse_back(doc_type: str, source: str, event: str) -> None:
    subject = subjects.event_subject(doc_type, source, event)
    assert re.fullmatch(r"rugs\.events(\.[A-Za-z0-9_-]+){3}", subject)
    parsed = subjects.parse_event_subject(subject)
    assert parsed == tuple(subjects.token(name) for name in (doc_type, source, event))
    assert subjects.event_subject(*parsed) == subject
    assert subjects.parse_event_subject(f"{subject}.5") == parsed


@given(st.text("rugsevnt.*> a", max_size=30))
def test_a_subject_is_parsed_or_refused(subject: str) -> None:
    try:
        parsed = subjects.parse_event_subject(subject)
    except ValueError:
        assert not re.fullmatch(r"rugs\.events(\.[^.]+){3,}", subject)
    else:
        assert subject.startswith(f"rugs.events.{'.'.join(parsed)}")
