"""`rugs decode`: a message body on standard input becomes JSON lines.

Imports nothing that is slow to load: ``nats sub --translate 'rugs decode'`` starts it
once for every message.
"""

from __future__ import annotations

import sys
from binascii import b2a_base64
from typing import Any

import msgspec

from rugs_proto import wire


def decode_stdin() -> int:
    """Decode the body on standard input; return the exit code: 1 if anything in it is not an envelope."""
    lines, faulty = decode_body(sys.stdin.buffer.read())
    sys.stdout.buffer.write(b"".join(lines))
    return 1 if faulty else 0


def decode_body(body: bytes) -> tuple[list[bytes], bool]:
    """Return JSON lines, an element of the body each, in order, and whether any was no envelope.

    `raw` that is not UTF-8 comes as `raw_base64`; what is no envelope as `error` and `base64`.
    """
    judged = wire.judge(body)
    faults = {fault.place: {"error": fault.reason, "base64": _base64(fault.body)} for fault in judged.faults}
    events = iter(judged.events)
    total = len(judged.events) + len(faults)
    elements = (faults[place] if place in faults else _event(next(events)) for place in range(total))
    return [msgspec.json.encode(element) + b"\n" for element in elements], bool(faults)


def _event(event: wire.Event) -> dict[str, Any]:
    shown = {key: value for key, value in msgspec.structs.asdict(event.envelope).items() if value is not None}
    del shown["raw"]
    shown["id"] = event.digest.hex()
    if event.raw is not None:
        shown |= {"raw": event.raw.decode()} if event.is_text else {"raw_base64": _base64(event.raw)}
    return shown


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()
