"""The marked section of CONTEXT.md files: a compact reference of the feed, which the rest of the file is safe from.

The section is what is between two lines that hold a mark and nothing else. Where a file has no marks, it is appended.
Line endings are those of the file; every byte outside the section stays as it is.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from rugs_core.errors import RugsError
from rugs_core.files import fsync_folder, replacing
from rugs_discovery.main_fields import main_fields
from rugs_discovery.markdown import code, prose, table
from rugs_discovery.meanings import Meanings
from rugs_discovery.paths import escape
from rugs_discovery.summary import DATA, Event, Summary
from rugs_discovery.wording import counted, name_text, union_text, values_text

BEGIN: Final = "<!-- rugs discovery: begin -->"
END: Final = "<!-- rugs discovery: end -->"

_LINE: Final = re.compile(rb"([^\r\n]*)(\r\n|\n|\r|\Z)")
_ENDING: Final = re.compile(rb"\r\n|\n|\r")
_OTHER_ENCODINGS: Final = (b"\xff\xfe", b"\xfe\xff")
_BOM: Final = b"\xef\xbb\xbf"


class ContextError(RugsError):
    """A file has no place for the section, or cannot be read or written; it stays as it is."""


class MarksError(ValueError):
    """A content has no place for the section."""


def refresh(path: Path, summary: Summary, meanings: Meanings) -> bool:
    """Write the section of a file anew, durably; return whether that changed the file.

    Raises:
        ContextError: if the marks of the file are not one pair, or the file cannot be read or written.
    """
    text = section(summary, meanings)
    try:
        target = path.resolve(strict=True)
        content = target.read_bytes()
        changed = with_section(content, text)
        if changed == content:
            return False
        with replacing(target) as file:
            os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            file.write(changed)
        fsync_folder(target.parent)
    except FileNotFoundError:
        raise ContextError(f"{path}: no such file; create it, or correct the name") from None
    except OSError as error:
        raise ContextError(f"{path}: {error.strerror or error}") from error
    except (RuntimeError, MarksError) as error:  # a link in a circle is a RuntimeError
        raise ContextError(f"{path}: {error}") from None
    return True


def with_section(content: bytes, text: str) -> bytes:
    """Return the content of a file with another section.

    Args:
        text: the section, of lines that end in a line feed.

    Raises:
        MarksError: if the marks are not one pair, the begin first, or the file is in an encoding that is not ASCII's.
    """
    if content.startswith(_OTHER_ENCODINGS) or b"\0" in content:
        raise MarksError("neither UTF-8 nor ASCII; save it as UTF-8")
    lines = list(_LINE.finditer(content))
    begins = [number for number, line in enumerate(lines) if line[1].strip() == BEGIN.encode()]
    ends = [number for number, line in enumerate(lines) if line[1].strip() == END.encode()]
    if not begins and not ends:
        return _appended(content, text)
    if len(begins) != 1 or len(ends) != 1 or begins > ends:
        where = ", ".join(str(number + 1) for number in sorted(begins + ends))
        raise MarksError(f"line {where}: the marks must be one begin and, after it, one end; remove the others")
    begin, end = lines[begins[0]], lines[ends[0]]
    return content[: begin.end()] + _encoded(text, content, begin[2]) + content[end.start() :]


def _appended(content: bytes, text: str) -> bytes:
    """Return a content with the marks and the section after it."""
    found = _ENDING.search(content)
    ending = found[0] if found else b"\n"
    is_ended = not content or content.endswith((b"\n", b"\r"))
    before = b"" if content in (b"", _BOM) else ending if is_ended else ending * 2
    marked = f"{BEGIN}\n{text}{END}" + ("\n" if is_ended else "")
    return content + before + _encoded(marked, content, ending)


def _encoded(text: str, content: bytes, ending: bytes) -> bytes:
    """Return a text as the other bytes of a file are: in UTF-8, or in ASCII if they are in neither."""
    try:
        content.decode()
        encoded = text.encode()
    except UnicodeDecodeError:
        encoded = text.encode("ascii", errors="xmlcharrefreplace")
    return encoded.replace(b"\n", ending)


def section(summary: Summary, meanings: Meanings) -> str:
    """Return the text of the section, in Markdown."""
    events = summary.events.values()
    total = counted(sum(event.count for event in events), "event")
    return "\n".join(
        [
            "## Events and fields of the feed\n",
            f"{total} of {counted(len(events), 'type')}, {counted(summary.fields, 'field')}. Written by"
            " `rugs discovery docs`; do not edit. `rugs field PATH` says everything about a field, and finds fields by"
            " words.\n",
            *(_line(event, meanings) for event in events),
            "",
            "### Main fields\n",
            _main_fields(summary, meanings),
            "",
        ]
    )


def _line(event: Event, meanings: Meanings) -> str:
    """Return an item of a list: an event, its meaning and the keys of its payload, or of a record."""
    meaning = meanings.of_event(event.key)
    root = () if event.kind == "record" else (DATA,)
    always: list[str] = []
    sometimes: list[str] = []
    for field in event.fields.values():
        key = field.steps[-1]
        if field.steps[:-1] == root and isinstance(key, str):
            (always if field.count == field.parents else sometimes).append(code(escape(key)))
    parts = [f"- {code(name_text(event.key))}, {event.count:,}:", "" if meaning is None else prose(meaning.text)]
    parts += [f"{when}: {', '.join(keys)}." for when, keys in (("Always", always), ("Sometimes", sometimes)) if keys]
    return " ".join(part for part in parts if part)


def _main_fields(summary: Summary, meanings: Meanings) -> str:
    rows = []
    for path, fields in main_fields(summary).items():
        meaning = meanings.of_field(fields[0].event, path)
        said = "" if meaning is None else prose(meaning.text)
        rows.append((code(path), union_text(fields[0].types), values_text(fields[0], code), said))
    return table(("path", "type", "values", "meaning"), rows)
