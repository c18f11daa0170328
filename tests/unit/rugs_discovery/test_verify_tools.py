"""The tools of the proof: what reads and counts again agrees with the scan, whatever is in the data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_discovery.messages import read_stored
from rugs_discovery.nodes import Place
from rugs_discovery.paths import ITEM, Step
from rugs_discovery.recount import Recount
from rugs_discovery.reference_reader import checked_of_line, checked_of_stored, records_of
from tests.support.examples import examples
from tests.support.proofkit import Room


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


# --- the tools ----------------------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
)  # fmt: skip
KEYS = st.one_of(
    st.text(max_size=4), st.integers(-5, 300).map(str), st.sampled_from(["a", "b", "a.b", "[]", '"', "\\", "[0]", "\0"])
)
PAYLOADS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=15,
)


def walk(value: Any, container: tuple[Step, ...] | None = None, step: Step = ITEM) -> Iterable[tuple[Any, Step, str]]:
    """Give the path and the JSON type of each value, as a plain recursive walk finds them."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    yield container, step, names.get(type(value), "null")
    inside = () if container is None else (*container, step)
    if isinstance(value, dict | list):
        for key, member in value.items() if isinstance(value, dict) else ((ITEM, each) for each in value):
            yield from walk(member, inside, key)


@pytest.fixture(scope="module")
def recount() -> Iterator[Recount]:
    with Recount() as open_recount:
        yield open_recount


@pytest.mark.slow
@settings(max_examples=examples(150))
@given(groups=st.lists(st.lists(PAYLOADS, max_size=3), max_size=3), ascii_only=st.booleans())
def test_duckdb_counts_what_a_plain_walk_counts(recount: Recount, groups: list[list[Any]], ascii_only: bool) -> None:
    expected: Counter[Any] = Counter()
    for at, group in enumerate(groups):
        expected.update((at, *found) for payload in group for found in walk(payload))
    texts = [[json.dumps(payload, ensure_ascii=ascii_only).encode() for payload in group] for group in groups]
    found = Counter({tuple(members[:-1]): members.number for members in recount.count(texts)})
    assert found == expected


@pytest.mark.parametrize(
    ("raw", "key", "payload", "arguments"),
    [
        (b'42["e",{"__trace":true},{"a": [1.50]}]', "e", b'{"a": [1.50]}', None),
        (b'42["e",{"__trace":true},{"a":1},"offset"]', "e", b'{"a":1}', b'["offset"]'),
        (b'42["e", 1 , "x" ]', "e", b'"x"', b"[1]"),
        (b'42["e",1,1]', "e", b"1", b"[1]"),
        (b'42["e"]', "e", b"null", None),
        (b'42[7,{"a":1}]', "unknown", b'{"a":1}', None),
        (b'42/admin,5["e",{"a":1}]', "e", b'{"a":1}', None),
        (b'451-["e",{"_placeholder":true,"num":0}]', "e", b'{"_placeholder":true,"num":0}', None),
        (b'431[{"ok":true}]', "packet:ack", b'{"ok":true}', None),
        (b'0{"sid": "x"}', "packet:open", b'{"sid": "x"}', None),
        (b"2", "packet:ping", b"null", None),
        (b"3probe", "packet:pong", b'"probe"', None),
        (b' {"event": "e", "data": {"a": 1.0}}', "e", b'{"a": 1.0}', None),
        (b'{"event_type": "e", "payload": null}', "e", b"null", None),
        (b'{"event": "", "data": 1}', "unknown", b"1", None),
        (b'{"event": "e"}', "record:e", b'{"event": "e"}', None),
        (b'{"type": "tick", "a": 1}', "record:tick", b'{"type": "tick", "a": 1}', None),
        (b'{"a": 1}', "record:unknown", b'{"a": 1}', None),
        (b'{"event": "x", "raw": "42[\\"e\\",{\\"a\\":1}]"}', "e", b'{"a":1}', None),
        (b'{"event": "e", "data": [{"__trace": true}]}', "e", b'{"__trace": true}', None),
        (b'{"event": "e", "data": [1, 2]}', "e", b"[1, 2]", None),
    ],
)
def test_the_payload_is_cut_out_as_it_stands(raw: bytes, key: str, payload: bytes, arguments: bytes | None) -> None:
    event = checked_of_stored(raw, Place(0, "id"))
    assert event.payload is not None
    found = event.arguments.text if event.arguments is not None else None
    assert (event.key, event.payload.text, found, event.flaw) == (key, payload, arguments, None)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"", b"x", b'42["e",{', b"42[]", b'{"event":', b"42"])
def test_stored_bytes_without_json_are_an_event_with_a_flaw(raw: bytes) -> None:
    event = checked_of_stored(raw, Place(0, "id"))
    assert event.key is not None
    assert event.payload is None
    assert event.flaw is not None


@pytest.mark.parametrize("levels", [200, 700, 1000, 1024])
def test_a_line_of_many_levels_is_read_whatever_the_recursion_limit(levels: int) -> None:
    text = b'{"event":"e","data":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
    event = checked_of_line(text, Place(0, "a", 1))
    assert (event.key, event.flaw) == ("e", None)


@pytest.mark.parametrize("levels", [1025, 3000, 100_000])
def test_a_line_of_too_many_levels_is_an_event_that_cannot_be_checked(levels: int) -> None:
    text = b'{"event":"e","data":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
    event = checked_of_line(text, Place(0, "a", 1))
    assert (event.key, event.payload, event.flaw) == ("e", None, "more than 1024 levels")


@settings(max_examples=examples(50))
@given(st.lists(PAYLOADS, max_size=4), st.sampled_from([None, 1]))
def test_the_elements_of_an_array_are_cut_out_as_they_stand(values: list[Any], indent: int | None) -> None:
    elements = records_of(json.dumps(values, indent=indent))
    assert elements is not None
    assert [json.loads(each) for each in elements] == values
    assert records_of('[{"a":1,"a":2}, NaN,1e400]') == ['{"a":1,"a":2}', "NaN", "1e400"]
    assert records_of('{"a": 1}') == ['{"a": 1}']
    assert records_of("[1,") is None


# --- whatever is in the data --------------------------------------------------------------------------------------

ODD = st.sampled_from([
    "NaN", "1e999", "123456789012345678901234567890", "1.0", "1e3", '{"a": 1, "a": 2}', '"\\ud800"', '{"\\udfff": 1}',
    '"\\u003a"', '{"a\\u003ab": ":"}', '"0e123"', "-0", '{"a.b": {"": [[]]}}',
])  # fmt: skip
TEXTS = st.one_of(PAYLOADS.map(json.dumps), PAYLOADS.map(lambda value: json.dumps([{"x": value}])))
NAMES = st.sampled_from(["e", "e", "f", "a/b", "..", "\\u00e9"])
RECORDS = st.sampled_from([
    '{"event": "%s", "data": %s}', '{"ts": "2025-01-01T00:00:00Z", "event_type": "%s", "payload": %s, "seq": 1}',
    '{"event": "%s", "direction": "sent", "data": [{"__trace": true}, %s]}', '{"type": "%s", "value": %s}',
    '{"other": "%s", "1": %s}',
])  # fmt: skip
FRAMES = st.sampled_from(['42["%s",%s]', '42["%s",{"__trace":true},%s]', '42/n,7["%s",%s]', '43["%s",%s]'])
BROKEN = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"", b"  ", b"[1]", b'"x"', b"null", b"{", b'{"event": "e", "data": {"a', b"42["]),
)


def written(wrapper: str, name: str, text: str) -> bytes:
    return (wrapper % (name, text)).encode()


@pytest.mark.slow
@settings(max_examples=examples(150))
@given(
    st.lists(
        st.one_of(
            st.builds(written, RECORDS, NAMES, st.one_of(TEXTS, ODD)), st.builds(written, FRAMES, NAMES, TEXTS), BROKEN
        ),
        max_size=12,
    )
)
def test_documents_of_whatever_was_recorded_have_no_findings(recorded: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        room = Room(Path(folder))
        room.record(*recorded)
        assert room.document().findings() == []


@settings(max_examples=examples(300))
@given(
    st.one_of(
        st.builds(written, RECORDS, NAMES, st.one_of(TEXTS, ODD)),
        st.builds(written, FRAMES, NAMES, st.one_of(TEXTS, ODD)),
        BROKEN,
    )
)
def test_both_readers_make_the_same_event_of_stored_bytes(raw: bytes) -> None:
    scanned, checked = read_stored(raw), checked_of_stored(raw, Place(0, "id"))
    payload = () if checked.payload is None else (checked.payload.value,)
    others = [] if checked.arguments is None else checked.arguments.value
    assert checked.key == scanned.key
    assert repr(payload) == repr(scanned.values)
    assert repr(others) == repr(list(scanned.others))
    assert (checked.flaw is None) == (scanned.flaw is None)
