"""`rugs decode` as users run it: the real command, once a message."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

import msgpack
import pytest

from rugs_proto import ids
from tests.support.decoders import GOOD
from tests.support.stackkit import RUGS

pytestmark = pytest.mark.slow


def decode(body: bytes, *options: str) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run([RUGS, "decode", *options], input=body, capture_output=True, check=False, timeout=20)
    assert not done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_one_envelope_is_one_line(options: list[str]) -> None:
    code, lines = decode(msgpack.packb(GOOD), *options)
    assert code == 0
    assert lines == [{**GOOD, "id": ids.event_id("public_ws", "s-1", 7, str(GOOD["raw"])), "fields": {}}]


def test_an_array_is_a_line_each_in_order() -> None:
    code, lines = decode(msgpack.packb([{**GOOD, "seq": seq} for seq in (3, 1, 2)]))
    assert code == 0
    assert [line["seq"] for line in lines] == [3, 1, 2]


def test_raw_bytes_are_base64() -> None:
    _, (line,) = decode(msgpack.packb({**GOOD, "raw": b"\xff\x00"}))
    assert base64.b64decode(line["raw_base64"]) == b"\xff\x00"
    assert "raw" not in line


def test_what_is_no_envelope_keeps_its_place_and_its_bytes() -> None:
    code, lines = decode(msgpack.packb([GOOD, {**GOOD, "v": 2}, GOOD]))
    assert code == 1
    assert [line.keys() == {"error", "base64"} for line in lines] == [False, True, False]
    assert msgpack.unpackb(base64.b64decode(lines[1]["base64"])) == {**GOOD, "v": 2}


@pytest.mark.parametrize("body", [b"", b"hello", b'{"json": true}', b"\xc1", msgpack.packb(GOOD)[:-3]])
def test_noise_is_shown(body: bytes) -> None:
    code, (line,) = decode(body)
    assert code == 1
    assert line["error"]
    assert base64.b64decode(line["base64"]) == body


def test_it_loads_nothing_slow() -> None:
    code = (
        "import sys; sys.argv = ['rugs', 'decode']; from rugs_cli.main import main; main(); "
        "sys.exit(bool({'typer', 'pydantic', 'duckdb', 'pyarrow', 'nats', 'asyncio'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=msgpack.packb(GOOD), capture_output=True, check=False)
    assert done.returncode == 0
