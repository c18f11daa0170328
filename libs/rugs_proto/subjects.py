"""Subjects, streams and headers of the bus, in one place.

An event's subject is ``rugs.events.<doc_type>.<source>.<event>``, every token reduced to
``[A-Za-z0-9_-]``: ``standard/newTrade`` becomes ``standard_newTrade``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

EVENTS_STREAM: Final = "RUGS_EVENTS"
BLOBS_BUCKET: Final = "RUGS_BLOBS"

EVENTS: Final = "rugs.events"
ALL_EVENTS: Final = "rugs.events.>"
COMMITTED: Final = "rugs.lake.committed"
ALERTS_QUALITY: Final = "rugs.alerts.quality"
ALERTS_DISCOVERY: Final = "rugs.alerts.discovery"
"""What the feed should not say, JSON: each check that fails, once a game; or of a source, and when it recovers."""

HEADER_MSG_ID: Final = "Nats-Msg-Id"
HEADER_SCHEMA: Final = "Rugs-Schema"
HEADER_IMPORT: Final = "Rugs-Import"
"""Id of the import run that a message belongs to."""
HEADER_IMPORT_SEQ: Final = "Rugs-Import-Seq"
"""Position of the message in its import run, from 1: a message sent twice is known by it."""
HEADER_IMPORT_DONE: Final = "Rugs-Import-Done"
"""On an import run's last message: its ledger entry as JSON."""
HEADER_IMPORT_DERIVED: Final = "Rugs-Import-Derived"
"""On every message of a run that publishes derived events, and nothing else: then they are what is counted."""
HEADER_RETRY: Final = "Rugs-Retry"
"""Id of the reject that a message feeds again."""
HEADER_CAUSE_SEQ: Final = "Rugs-Cause-Seq"
"""On derived messages: all that follows from the stream up to this sequence stands up to this message."""
HEADER_CAUSE_STATE: Final = "Rugs-Cause-State"
"""On derived messages: what derivation needs to go on from there, as JSON."""
SCHEMA_VERSION: Final = "1"

MAX_PAYLOAD: Final = 8 * 1024 * 1024
"""Bytes that the broker takes in one message, headers included."""
MAX_BODY: Final = MAX_PAYLOAD - 64 * 1024
"""Bytes of body that producers send at the most; a full `MAX_PAYLOAD` makes the server cut the connection."""
MAX_BLOB: Final = 33 * 1024 * 1024
"""Bytes that one frame may have: a recording's longest line, of 32 MiB, fits. Whoever reads it holds it in memory."""
TARGET_BODY: Final = 512 * 1024
"""Bytes at which a producer with a backlog closes a message."""

SUBJECT_TABLE: Final = (
    (ALL_EVENTS, EVENTS_STREAM, "every event: rugs.events.<doc_type>.<source>.<event>"),
    (COMMITTED, None, "a snapshot was committed: its number and counts, JSON"),
    ("rugs.ingest.>", None, "events from the stock command line, to be normalised"),
    ("rugs.replay.<name>.>", None, "a replay of stored events"),
    (ALERTS_QUALITY, None, "a check of the feed that failed or recovered: check, game or source, event, JSON"),
    (ALERTS_DISCOVERY, None, "a change of the feed: kind, event, path, verdict, the first example, JSON"),
    ("rugs.alerts.>", None, "what an operator should look at"),
    ("rugs.api.>", None, "requests to services"),
)

_NOT_TOKEN = re.compile(r"[^A-Za-z0-9_-]")


class EventSubject(NamedTuple):
    """The tokens of an event's subject."""

    doc_type: str
    source: str
    event: str


def token(text: str) -> str:
    """Return `text` as one subject token; `_` if it is empty."""
    return _NOT_TOKEN.sub("_", text) or "_"


@lru_cache(maxsize=4096)
def event_subject(doc_type: str, source: str, event: str = "") -> str:
    """Return the subject that an event is published on."""
    return f"{EVENTS}.{token(doc_type)}.{token(source)}.{token(event)}"


@lru_cache(maxsize=4096)
def parse_event_subject(subject: str) -> EventSubject:
    """Return the tokens of an event's subject.

    Tokens after the third are allowed: a stream that is one of several carries one.

    Raises:
        ValueError: if it is not ``rugs.events.<doc_type>.<source>.<event>``.
    """
    tokens = subject.split(".")
    if len(tokens) < 5 or tokens[:2] != ["rugs", "events"] or not all(tokens):
        raise ValueError(f"not an event subject: {subject!r}")
    return EventSubject(*tokens[2:5])
