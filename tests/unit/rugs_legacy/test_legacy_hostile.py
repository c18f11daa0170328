"""Whatever stands in a file of whatever name: it is refused with a reason, or every byte is accounted for.

Records and documents of all formats, with anything put in the place of anything.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_legacy.batches import messages
from rugs_legacy.packed import PackedError
from rugs_legacy.recognise import UnknownFormatError
from rugs_legacy.recording import Counts, look_at, read, read_again
from rugs_proto import wire
from rugs_proto.subjects import MAX_BODY
from tests.support.examples import examples
from tests.support.legacy_files import NEW_YORK, made_up_files, read_file, write

_LONGEST = 3000

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["\ud800", "1.5", "NaN", "2099-01-01T00:00:00", "9999-12-31T23:59:59", "x" * 600, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def shortened(name: str, content: bytes) -> bytes:
    """Return a small file of the same format: large frames and long lists are left out."""
    if not name.endswith(".json"):
        lines = [line for line in content.split(b"\n") if len(line) < _LONGEST]
        return b"\n".join(lines[:3] + lines[-2:])
    value = json.loads(content)
    if isinstance(value, list):
        return json.dumps([one for one in value if len(str(one)) < 2 * _LONGEST][:2]).encode()
    return json.dumps({key: inner[:3] if isinstance(inner, list) else inner for key, inner in value.items()}).encode()


@cache
def files() -> dict[str, bytes]:
    """Small files of every format."""
    return {Path(name).name: shortened(name, content) for name, content in made_up_files().items()}


FILES = st.deferred(lambda: st.sampled_from(sorted(files())))
NAMES = st.deferred(lambda: st.sampled_from([*files(), "x", "x.jsonl"]))


def changed(value: Any, draw: Callable[..., Any]) -> Any:
    """Return a JSON value with something else in one place."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 5)):
            return {other: value[other] for other in value if other != key}
        return {**value, key: changed(value[key], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], changed(value[place], draw), *value[place + 1 :]]
    return draw(JSON)


@st.composite
def contents(draw: Callable[..., Any]) -> bytes:
    content = files()[draw(FILES)]
    for _ in range(draw(st.integers(0, 2))):
        try:
            value = json.loads(content)
        except ValueError:
            lines = content.split(b"\n")
            place = draw(st.integers(0, len(lines) - 1))
            try:
                lines[place] = json.dumps(changed(json.loads(lines[place]), draw)).encode()
            except ValueError:
                lines[place] = draw(st.binary(max_size=20))
            content = b"\n".join(lines)
        else:
            indent = draw(st.sampled_from([None, 2]))
            content = json.dumps(changed(value, draw), indent=indent).encode()
    for _ in range(draw(st.integers(0, 1))):
        first, second = sorted((draw(st.integers(0, len(content))), draw(st.integers(0, len(content)))))
        content = content[:first] + draw(st.binary(max_size=5)) + content[second:]
    return content


@settings(deadline=None, max_examples=examples(300))
@given(NAMES, contents())
def test_whatever_stands_in_a_file_is_refused_or_accounted_for(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), name, content)
        try:
            recording, counts, _ = read_file(path)
        except (UnknownFormatError, PackedError):
            return
        sent = list(messages(read(recording, Counts())))
        assert look_at(path, NEW_YORK) == recording
    judged = [wire.judge(message.body) for message in sent]
    assert not [fault for one in judged for fault in one.faults]
    assert all(len(message.body) <= MAX_BODY for message in sent)
    taken = sum(event.envelope.cause is None for one in judged for event in one.events)
    assert taken == counts.records + counts.rejected + counts.salvaged
    for one in judged:
        for event in one.events:
            if event.envelope.doc_type == "reject" and event.raw is not None:
                assert read_again(recording, event.raw, 1, 0) == [], "what was refused is refused again"


@settings(deadline=None, max_examples=examples(100))
@given(FILES, st.sampled_from([b"NaN", b"Infinity", b"-Infinity"]), st.data())
def test_a_number_that_is_not_finite_makes_no_record_unreadable(
    name: str, constant: bytes, data: st.DataObject
) -> None:
    """In the place of any number with a fraction: Python's recorders wrote these, and nothing finite is lost."""
    content = files()[name]
    fractions = [*re.finditer(rb"(?<=[ \[])-?\d+\.\d+(?=[,}\]])", content)]
    if not fractions:
        return
    place = data.draw(st.sampled_from(fractions))
    changed = content[: place.start()] + constant + content[place.end() :]
    with tempfile.TemporaryDirectory() as folder:
        _, before, _ = read_file(write(Path(folder), name, content))
        _, counts, envelopes = read_file(write(Path(folder), name, changed))
    assert (counts.records, counts.rejected) == (before.records, before.rejected)
    for envelope in envelopes:  # and what the bus takes has none
        json.dumps(envelope["fields"], allow_nan=False)
