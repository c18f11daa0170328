"""Names and shapes that callers of an older pipeline use, over recordings of one `{"event": …, "data": …}` a line.

A record is shown as it is: nothing is unwrapped, folded or masked. What becomes of unusual input:

| input | outcome |
| --- | --- |
| a line that is not JSON, or not UTF-8 | an error with its place; the next line is read |
| a line with an array, null, a string, a number | an error with its place |
| a line of 64 MiB or more, or nested more than 1,024 levels deep | an error with its place |
| an `event` that is missing, empty, null, or no string | the record counts as `unknown` |
| a value more than 10 levels below the record | not entered, counted in `truncated` of the field above it |
| a key that occurs twice in an object | its last value counts |
| NaN, Infinity, 1e999 | a number, and no sample |
| a whole number of any length | a number; up to 3,999 digits are kept exactly, a longer one is Infinity |
| half a surrogate pair, in a key, a value or an event's name | written out, as in `\\ud800` |
| a key with one of `. [ ] { } * \\`, or an empty key | escaped in paths: see `rugs_discovery.paths` |
| a file with the content of one before it | changes nothing |
| a file that cannot be read, in a folder | an error of line 0; the next file is read |
"""

from rugs_discovery.compat.chunks import EventChunk, chunk_event_schema, chunk_field_index
from rugs_discovery.compat.coverage import generate_coverage_report
from rugs_discovery.compat.fields import FieldInfo, discover_fields, get_type
from rugs_discovery.compat.ingest import IngestionResult, NoIndexError, ingest_websocket_recordings
from rugs_discovery.compat.results import DiscoveryResult, EventInfo
from rugs_discovery.compat.scan import scan_jsonl_file, scan_recordings
from rugs_discovery.compat.schemas import generate_event_schema, generate_field_index

__all__ = [
    "DiscoveryResult",
    "EventChunk",
    "EventInfo",
    "FieldInfo",
    "IngestionResult",
    "NoIndexError",
    "chunk_event_schema",
    "chunk_field_index",
    "discover_fields",
    "generate_coverage_report",
    "generate_event_schema",
    "generate_field_index",
    "get_type",
    "ingest_websocket_recordings",
    "scan_jsonl_file",
    "scan_recordings",
]
