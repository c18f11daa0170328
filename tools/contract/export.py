"""Write the contract for other languages and for people: ``python -m tools.contract.export proto``.

A test checks that the files in `proto/` are what this module writes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from rugs_proto import ids, subjects
from rugs_proto.domains import KEYED, NATURAL, doc_types
from rugs_proto.domains.domain import Keyed
from rugs_proto.envelope import MAX_DEPTH, SOURCES, Envelope
from tools.contract import retrieval, vectors

_README: Final = """\
<!-- Written by `python -m tools.contract.export proto`: change the code, not this file. -->
# The contract

What travels on the bus, in any language. `envelope.schema.json`, `subjects.json` and `vectors/` say the same for
machines.

## Bodies

The body of a message on `{all_events}` is one [msgpack](https://msgpack.org) map (an envelope), or an array of them.
One message never mixes doc types, sources or sessions. Each envelope of an array is judged by itself: the good ones
are stored, a bad one is kept as a reject with its reason. A body is at most {max_body:,} bytes (the broker takes
{max_payload:,}, headers included); what does not fit, up to {max_blob} MiB, lies in the object store `{blobs}` under
the event's id before the message is sent. The envelope carries its SHA-256 as `blob`, and is alone in its message. A
producer with a backlog closes a message at about {target_body:,} bytes.

| key | type | | meaning |
| --- | --- | --- | --- |
{keys}

The sets of doc types and sources are open: any name of the pattern is stored. Known today are the doc types
{doc_types}, and the sources
{sources}.

No other keys are allowed, and none may come twice. Text is UTF-8. Extension types are not used. `fields` holds what
JSON can say: finite numbers (integers of 64 bits), text, booleans, null, lists and maps with text keys, nested at most
{max_depth} deep. `raw` excludes `blob` and `cause`.

## Ids

An id says what an event is, not how it was understood: BLAKE2b with 16 bytes of digest, as 32 lower-case hex digits,
over one msgpack array. The hash's personalisation parameter keeps the kinds apart.

| kind | personalisation | hashed |
| --- | --- | --- |
| received event | `{event_person}` | `[source, session_id, seq, raw]` |
| reject (doc type `reject`) | `{reject_person}` | `[source, session_id, seq, raw]` |
| derived event (has a `cause`) | `{derived_person}` | `[doc_type, *natural key]`, else `[doc_type, cause, n]` |
| event of a keyed doc type | `{keyed_person}` | `[doc_type, *key]` |

Integers and text take their shortest msgpack form. `raw` is packed as bin, or nil: text and the same bytes give the
same id. An event with a key, natural or its own, may leave its id out. A derived event without one must carry it, made
with its position n among the events of its doc type and cause, 0 to {last_derived}; another id is refused. A received
event with a `blob` must carry its id as well.

Where there is a `game_id`, these derived doc types have a natural key:

{natural}

An event of a keyed doc type has no place in a session: `session_id` is its scope, `seq` is 1, and its id is that of its
key, also where it has a `raw` or a `cause`. It has no `blob`. A second event of the same key is a duplicate if its
*content* is equal, and a reject with the reason `conflicting_key` if not. Content is the set of `fields` that the doc
type lists; times, session and names for display are no part of it. Two values are equal if their JSON is, an absent one
and null alike.

{keyed}

## Subjects

An event goes to `rugs.events.<doc_type>.<source>.<event>`. Every character of a token outside `A-Z a-z 0-9 _ -` becomes
`_`; an empty token is `_`, and so is the event where a message's envelopes differ in theirs. More tokens may follow.

| subject | stream | what |
| --- | --- | --- |
{subject_table}

| header | meaning |
| --- | --- |
{header_table}

## Vectors

`vectors/ids.json`, `subjects.json`, `envelopes.json` (bodies and the envelopes in them) and `bad.json` (bodies that
break the contract, with the places that are refused). Bytes are hex; `raw` is `{{"text": …}}`, `{{"hex": …}}`,
`{{"repeat": hex, "times": n}}` or null.

`vectors/retrieval.json` pins the retrieval contract, which is about chunks and not about messages: the text and the id
of a chunk of a raw event (`rugs_index.contract`, profile `claude_flow_v1`), and ids of texts. An id is the first 16 hex
digits of SHA-256 over the UTF-8 of `source`, a colon, and `text`; nothing is stripped or normalised.

`vectors/embeddings.json` has texts with the vectors that sentence-transformers computes of them with all-MiniLM-L6-v2,
its versions and the digest of the weights: `python -m tools.contract.embeddings` writes it.
"""

_HEADERS: Final = {
    subjects.HEADER_MSG_ID: "the event's id, or the hash of the ids of several: the broker drops what comes twice soon",
    subjects.HEADER_SCHEMA: f"wire version, `{subjects.SCHEMA_VERSION}`",
    subjects.HEADER_IMPORT: "id of the import run that the message belongs to",
    subjects.HEADER_IMPORT_SEQ: "position of the message in its import run, from 1",
    subjects.HEADER_IMPORT_DONE: "on the last message of an import run: its ledger entry, JSON",
    subjects.HEADER_IMPORT_DERIVED: "on every message of a run of derived events: these are what is counted",
    subjects.HEADER_RETRY: "id of the reject that the message feeds again",
    subjects.HEADER_CAUSE_SEQ: "on derived messages: what follows from the stream up to this sequence stands now",
    subjects.HEADER_CAUSE_STATE: "on derived messages: what derivation needs to go on from there, JSON",
}


def files() -> dict[str, str]:
    """Return every generated file: its path below `proto/`, and its text."""
    return {
        "README.md": _readme(),
        "envelope.schema.json": _json(_schema()),
        "subjects.json": _json(_subjects()),
        "vectors/bad.json": _json(vectors.bad_vectors()),
        "vectors/envelopes.json": _json(vectors.envelope_vectors()),
        "vectors/ids.json": _json(vectors.id_vectors()),
        "vectors/retrieval.json": _json(retrieval.retrieval_vectors()),
        "vectors/subjects.json": _json(vectors.subject_vectors()),
    }


def _json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _schema() -> dict[str, Any]:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Envelope.model_json_schema()}
    schema["description"] = "One event on the bus, wire version 1. Binary `raw` (msgpack bin) is shown as a string."
    return schema


def _subjects() -> dict[str, Any]:
    return {
        "subjects": [
            {"subject": subject, "stream": stream, "description": text}
            for subject, stream, text in subjects.SUBJECT_TABLE
        ],
        "stream": subjects.EVENTS_STREAM,
        "object_store": subjects.BLOBS_BUCKET,
        "headers": _HEADERS,
        "limits": {
            "max_payload": subjects.MAX_PAYLOAD,
            "max_body": subjects.MAX_BODY,
            "target_body": subjects.TARGET_BODY,
        },
    }


def _readme() -> str:
    required = set(_schema()["required"])
    keys = [
        f"| `{key}` | {_type(prop)} | {'required' if key in required else ''} | {prop.get('description', '')} |"
        for key, prop in _schema()["properties"].items()
    ]
    table = [
        f"| `{name}` | {f'`{stream}`' if stream else ''} | {text} |" for name, stream, text in subjects.SUBJECT_TABLE
    ]
    return _README.format(
        all_events=subjects.ALL_EVENTS,
        max_body=subjects.MAX_BODY,
        max_payload=subjects.MAX_PAYLOAD,
        max_blob=subjects.MAX_BLOB // 1024**2,
        target_body=subjects.TARGET_BODY,
        blobs=subjects.BLOBS_BUCKET,
        keys="\n".join(keys),
        max_depth=MAX_DEPTH,
        doc_types=", ".join(f"`{name}`" for name in doc_types()),
        sources=", ".join(f"`{name}`" for name in SOURCES),
        event_person=ids.EVENT_PERSON.decode(),
        reject_person=ids.REJECT_PERSON.decode(),
        derived_person=ids.DERIVED_PERSON.decode(),
        keyed_person=ids.KEYED_PERSON.decode(),
        natural=_table(("doc type", "natural key"), [(name, natural.text) for name, natural in NATURAL.items()]),
        keyed=_table(
            ("doc type", "key", "content"), [(name, each.text, _content(each)) for name, each in KEYED.items()]
        )
        or "No doc type is keyed yet.",
        last_derived=ids.MAX_DERIVED - 1,
        subject_table="\n".join(table),
        header_table="\n".join(f"| `{name}` | {text} |" for name, text in _HEADERS.items()),
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table whose first column is code; empty if there are no rows."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| `{name}` | {' | '.join(more)} |" for name, *more in rows)]) if rows else ""


def _content(keyed: Keyed) -> str:
    return ", ".join(f"`{key}`" for key in sorted(keyed.content))


def _type(prop: dict[str, Any]) -> str:
    """Say a property's JSON Schema in a few words."""
    if "anyOf" in prop:
        return " or ".join(dict.fromkeys(_type(option) for option in prop["anyOf"]))
    if "enum" in prop:
        return ", ".join(f"`{name}`" for name in prop["enum"])
    kind = {"integer": "int", "string": "str", "object": "map", "null": "nil"}.get(prop["type"], prop["type"])
    if prop.get("format") == "binary":
        return "bin"
    if "pattern" in prop:
        return f"{kind} `{prop['pattern'].strip('^$')}`"
    if "minimum" in prop:
        last = prop["maximum"] if "maximum" in prop else prop["exclusiveMaximum"] - 1
        return f"{kind} {last}" if last == prop["minimum"] else f"{kind} {prop['minimum']} to {last}"
    if "maxLength" in prop:
        return f"{kind} of {prop.get('minLength', 0)} to {prop['maxLength']} characters"
    return str(kind)


def main(folder: Path) -> None:
    """Write every file below `folder`."""
    for name, text in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tools.contract.export DIR")
    main(Path(sys.argv[1]))
