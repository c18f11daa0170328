"""The observed feed as an AsyncAPI 3 document, from the view of a client: what it receives and what it sends.

Payload schemas are JSON Schemas of this project without `$schema` and `$id`; their keywords mean the same in AsyncAPI's
own schema language. Texts that Unicode cannot encode are escaped, so that any reader of JSON takes the document.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

from rugs_discovery.documents import place_of
from rugs_discovery.example import example_of
from rugs_discovery.meanings import Meanings
from rugs_discovery.summary import Event, Summary
from rugs_discovery.wording import meaning_text, name_text

VERSION: Final = "3.0.0"
CHANNEL: Final = "feed"

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_ID: Final = 80
_OF_A_DOCUMENT: Final = frozenset({"$schema", "$id"})
_LARGE: Final = 1 << 63
_LARGEST: Final = int(sys.float_info.max)


def asyncapi(
    summary: Summary,
    meanings: Meanings,
    schema_of: Callable[[Event, Meanings], Mapping[str, Any]],
    sent: Collection[str] = frozenset(),
) -> dict[str, Any]:
    """Return the document; packets and records of other kinds are no events of the feed, and are left out.

    Args:
        schema_of: returns the JSON Schema of an event's payload.
        sent: keys of the events that clients send; the others are received.
    """
    events = {component_id(key): event for key, event in summary.events.items() if event.kind == "event"}
    received = [name for name, event in events.items() if event.key not in sent]
    emitted = [name for name, event in events.items() if event.key in sent]
    document: dict[str, Any] = {
        "asyncapi": VERSION,
        "info": {
            "title": "rugs.fun feed, as observed",
            "version": "1.0.0",
            "description": "Written by `rugs discovery` from recorded events. A message is one Socket.IO event:"
            " `name` is its name, the payload its first argument that is no trace.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "feed": {
                "host": "{host}",
                "pathname": "/socket.io/",
                "protocol": "wss",
                "description": "A Socket.IO 4 server (Engine.IO 4).",
                "variables": {"host": {"default": "example.com", "description": "The host of the feed."}},
            }
        },
        "channels": {
            CHANNEL: {
                "address": "/",
                "title": "Socket.IO namespace",
                "servers": [{"$ref": "#/servers/feed"}],
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in events},
            }
        },
        "operations": {
            **_operation("receive", "Events that the server sends.", received),
            **_operation("send", "Events that clients send.", emitted),
        },
        "components": {
            "messages": {name: _message(name, event, meanings) for name, event in events.items()},
            "schemas": {name: _schema(schema_of(event, meanings)) for name, event in events.items()},
        },
    }
    return {name: _encodable(value) for name, value in document.items()}


def component_id(key: str) -> str:
    """Return what an event is called in references: its key, or a name of the same characters and a hash of the key."""
    plain = _UNSAFE.sub("_", key)
    if plain == key and 0 < len(key) <= _LONGEST_ID:
        return key
    return f"{plain[:_LONGEST_ID]}.{sha256(key.encode(errors='surrogatepass')).hexdigest()[:12]}"


def _operation(action: str, summary: str, names: Iterable[str]) -> dict[str, Any]:
    messages = [{"$ref": f"#/channels/{CHANNEL}/messages/{name}"} for name in names]
    if not messages:
        return {}
    return {
        action: {
            "action": action,
            "channel": {"$ref": f"#/channels/{CHANNEL}"},
            "summary": summary,
            "messages": messages,
        }
    }


def _message(name: str, event: Event, meanings: Meanings) -> dict[str, Any]:
    said: dict[str, Any] = {"name": event.key, "title": name_text(event.key)}
    if (meaning := meanings.of_event(event.key)) is not None:
        said["summary"] = meaning.text
        said["description"] = meaning_text(meaning)
    said["payload"] = {"$ref": f"#/components/schemas/{name}"}
    said["examples"] = [{"summary": "Composed of observed values.", "payload": example_of(event)}]
    said["x-frequency"] = {"count": event.count, "first": place_of(event.first), "last": place_of(event.last)}
    return said


def _schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in _OF_A_DOCUMENT}


def _encodable(value: Any) -> Any:
    """Return a JSON value as any reader takes it: half a surrogate pair is escaped, a large whole number a float."""
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, int) and not -_LARGE <= value < _LARGE:
        return float(max(-_LARGEST, min(value, _LARGEST)))
    return value
