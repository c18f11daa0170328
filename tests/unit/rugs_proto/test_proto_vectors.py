"""The files in `proto/` are what the code says, and the code does what the files say."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Any

import jsonschema
import msgpack
import pytest

import rugs_proto
from rugs_proto import codec, ids, subjects, wire
from tools.contract import export

PROTO = Path(__file__).resolve().parents[3] / "proto"
Vector = dict[str, Any]


def vectors(name: str) -> list[Vector]:
    content: list[Vector] = json.loads((PROTO / "vectors" / f"{name}.json").read_text())
    return content


def raw_of(told: Vector | None) -> bytes | None:
    if told is None:
        return None
    if "text" in told:
        return str(told["text"]).encode()
    return bytes.fromhex(told["hex"]) if "hex" in told else bytes.fromhex(told["repeat"]) * int(told["times"])


def test_no_drift() -> None:
    written = {str(path.relative_to(PROTO)): path.read_text() for path in PROTO.rglob("*") if path.is_file()}
    del written["vectors/embeddings.json"]  # needs torch: tests of the embedders compare it
    assert written == export.files(), "run: python -m tools.contract.export proto"


@pytest.mark.parametrize("vector", vectors("ids"))
def test_ids(vector: Vector) -> None:
    if "key" in vector:
        computed = {"derived": ids.derived_id, "keyed": ids.keyed_id}[vector["kind"]](*vector["key"])
    else:
        make = {"event": ids.event_id, "reject": ids.reject_id}[vector["kind"]]
        computed = make(vector["source"], vector["session_id"], vector["seq"], raw_of(vector["raw"]))
    assert computed == vector["id"]
    if "hashed_hex" in vector:  # from the definition alone, without our code
        person = vector["personalisation"].encode()
        assert blake2b(bytes.fromhex(vector["hashed_hex"]), digest_size=16, person=person).hexdigest() == vector["id"]


def test_ids_that_must_differ_do() -> None:
    kinds = {ids.event_id("cdp", "s", 1, b"x"), ids.reject_id("cdp", "s", 1, b"x"), ids.event_id("cdp", "s", 1, None)}
    assert len(kinds | {ids.event_id("cdp", "s", 1, b""), ids.event_id("cdp", "s", 2, b"x")}) == 5


def test_pinned_ids() -> None:
    """Written by hand once: an id that changes would store everything twice."""
    assert ids.event_id("public_ws", "s-1", 1, "x") == "1dfd37041380e0a2c37274ecee6b6d8d"
    assert ids.derived_id("game", "20260101-abc") == "05752020b8d22a687b0f441331fd3e78"
    assert ids.keyed_id("note", "scope", 1) == "107e6a3421678ca5b962a006f108c521"
    assert ids.import_session_id("F1", b'{"a":1}') == "cbd4da6c686b207e2baa4217dc9864f9"
    assert ids.message_id(["a" * 32]) == "a" * 32
    assert ids.message_id(["a" * 32, "b" * 32]) == "4701bc0ab6ba61b1a7ae00e322eb1f72"


@pytest.mark.parametrize("vector", vectors("subjects"))
def test_subjects(vector: Vector) -> None:
    if "event" in vector:
        assert subjects.event_subject(vector["doc_type"], vector["source"], vector["event"]) == vector["subject"]
    if vector["tokens"] is None:
        with pytest.raises(ValueError, match="not an event subject"):
            subjects.parse_event_subject(vector["subject"])
    else:
        assert list(subjects.parse_event_subject(vector["subject"])) == vector["tokens"]


@pytest.mark.parametrize("vector", vectors("envelopes"), ids=lambda vector: str(vector["name"]))
def test_envelopes(vector: Vector) -> None:
    body = bytes.fromhex(vector["body_hex"])
    events = wire.judge(body).events
    decoded = [codec.to_map(envelope) for envelope in codec.decode(body)]
    assert len(decoded) == len(events) == len(vector["envelopes"])
    for expected, content, event in zip(vector["envelopes"], decoded, events, strict=True):
        raw = raw_of(expected["raw"])
        assert (event.digest.hex(), event.raw) == (expected["id"], raw)
        told = content.pop("raw", None)
        assert (told.encode() if isinstance(told, str) else told) == raw
        assert content == {key: value for key, value in expected.items() if key != "raw"}


@pytest.mark.parametrize("vector", vectors("bad"), ids=lambda vector: str(vector["name"]))
def test_bad_bodies(vector: Vector) -> None:
    body = bytes.fromhex(vector["body_hex"])
    judged = wire.judge(body)
    assert [event.digest.hex() for event in judged.events] == vector["accepted"]
    assert [fault.place for fault in judged.faults] == vector["refused"]
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's and ours
        codec.decode(body)


def test_the_schema_accepts_what_the_model_accepts() -> None:
    schema = json.loads((PROTO / "envelope.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    for vector in vectors("envelopes"):
        for element in codec.unpack(bytes.fromhex(vector["body_hex"])):
            raw = element.get("raw")
            shown = {**element, "raw": raw.hex()} if isinstance(raw, bytes) else element
            validator.validate(shown)
    unknown = {**msgpack.unpackb(bytes.fromhex(vectors("envelopes")[0]["body_hex"])), "extra": 1}
    assert not validator.is_valid(unknown)


def test_every_public_name_loads() -> None:
    for name in rugs_proto.__all__:
        assert getattr(rugs_proto, name) is not None


@pytest.mark.slow
def test_the_fast_decoder_loads_no_pydantic() -> None:
    """`rugs decode` starts once for every message that somebody watches."""
    code = "import rugs_proto.wire, sys; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
