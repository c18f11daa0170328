"""Reading a reject again, with today's readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rugs_legacy.formats import FORMATS
from rugs_legacy.recording import Recording, read_line
from rugs_proto import wire
from rugs_proto.subjects import HEADER_RETRY, event_subject, parse_event_subject

if TYPE_CHECKING:
    from rugs_lake.rejects import Reject


class RetryMessage(NamedTuple):
    """What is to be published: the commit of it marks the reject as understood."""

    subject: str
    body: bytes
    msg_id: str
    headers: dict[str, str]


def understood(reject: Reject, content: bytes) -> RetryMessage | None:
    """Return the message that a reject makes today, or None if it is still not understood.

    A message's bytes go to their old subject again. A file's line is read as one record;
    what was salvaged out of it is in the lake already.
    """
    found = _line(reject, content) if reject.file is not None else _message(reject, content)
    if found is None:
        return None
    subject, body = found
    return RetryMessage(subject, body, f"retry-{reject.id}", {HEADER_RETRY: reject.id})


def _message(reject: Reject, content: bytes) -> tuple[str, bytes] | None:
    try:
        doc_type = parse_event_subject(reject.subject or "").doc_type
    except ValueError:
        return None
    judged = wire.judge(content, doc_type)
    return None if judged.faults or not judged.events else (str(reject.subject), content)


def _line(reject: Reject, content: bytes) -> tuple[str, bytes] | None:
    told = json.loads(reject.extra or "{}").get("format")
    format_ = next((each for each in FORMATS if each.id == told), None)
    if format_ is None or reject.line is None or reject.offset is None:
        return None
    recording = Recording(Path(str(reject.file)), 0, reject.sha256 or "", format_, reject.tz or "", reject.session_id)
    envelope = read_line(recording, content, reject.line, reject.offset)
    if envelope is None:
        return None
    return event_subject(envelope["doc_type"], envelope["source"], envelope["event"]), wire.encode([envelope])
