"""Chunks of Markdown documents: sections, cut to what the model reads, each with its headings and its lines.

A chunk's text is its headings, outermost first, on one line, then an empty line, then the lines of the document from
`line_start` to `line_end` without the heading itself. Line ends are written as newlines, so that a document has the
same chunks with CRLF. What CommonMark takes for a heading is one: not what looks like one inside a fenced block, and
not what is inside a quote or a list.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from markdown_it import MarkdownIt

from rugs_index import kinds
from rugs_index.chunk import Chunk
from rugs_index.identifiers import forms
from rugs_legacy.files import special_kind

KIND: Final = kinds.DOCUMENT
ENDINGS: Final = (".md", ".markdown")
WINDOW: Final = 256
"""Word pieces of a chunk, estimated: the model reads as many."""
OVERLAP: Final = 64
"""Word pieces of a section that the next chunk of it has, too."""
LARGEST: Final = 16 << 20
"""Bytes; a larger document is left out."""
_MARKS: Final = 6
"""Word pieces that are left for what the model adds, and for the estimate's error."""
_LEAST: Final = 64
"""Word pieces for the lines of a chunk, however long its headings are."""
_BETWEEN: Final = " > "
_PIECE: Final = re.compile(r"[A-Za-z]{1,5}|\d{1,2}|[^\W\d_A-Za-z]|[^\w\s]|_")
"""About what a word piece of the model is: measured on this project's documents, it counts 0 to 15% too many."""
_YAML_KEY: Final = re.compile(r"[\w\"'-]+[ \t]*:")


class Document(NamedTuple):
    """A document of a folder.

    Attributes:
        source: its path below the folder, with `/`.
        chunks: none where it was skipped, or has no text.
        skipped: why it was skipped; None if it was not.
    """

    source: str
    chunks: list[Chunk]
    skipped: str | None = None


class _Heading(NamedTuple):
    """A heading; `start` lines are before it, `end` up to its end."""

    level: int
    text: str
    start: int
    end: int


class _Section(NamedTuple):
    """A section; `start` lines are before its heading, `body` up to the first line below it, `end` up to its end."""

    headers: tuple[str, ...]
    start: int
    body: int
    end: int


class _Unit(NamedTuple):
    """A line, or a part of a long one; `line` is its number, from 1."""

    line: int
    text: str
    size: int
    is_line_end: bool


class _Piece(NamedTuple):
    """Some lines of a section, by the numbers of the first and the last one."""

    start: int
    end: int
    text: str


def documents(folder: Path) -> Iterator[Document]:
    """Give the Markdown documents of a folder and the folders in it, by name. What is hidden is left out.

    A link to a file of the folder is read. A link that leads out of it, a linked folder, and what cannot be read are
    named as skipped.

    Raises:
        OSError: if the folder cannot be listed.
    """
    root = folder.resolve(strict=True)
    unlisted: list[OSError] = []
    for path in _walk(root, unlisted):
        source = _source(path, root)
        try:
            why = _why_skipped(path, root)
            yield Document(source, [] if why else chunks_of(path.read_bytes().decode(), source), why)
        except UnicodeDecodeError as error:
            yield Document(source, [], f"not UTF-8 at byte {error.start}")
        except OSError as error:
            yield Document(source, [], error.strerror or str(error))
    for failed in unlisted:
        yield Document(_source(Path(failed.filename), root), [], failed.strerror)


def chunks_of(text: str, source: str) -> list[Chunk]:
    """Return the chunks of a document's text, in the order of its lines."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    found = []
    for section in _sections(lines):
        context = _BETWEEN.join(section.headers)
        room = max(WINDOW - _MARKS - word_pieces(context), _LEAST)
        for piece in _pieces(lines, section, room):
            whole = "\n\n".join(part for part in (context, piece.text) if part)
            metadata = {
                "source": source,
                "kind": KIND,
                "doc_type": KIND,
                "headers": list(section.headers),
                "line_start": piece.start,
                "line_end": piece.end,
            }
            found.append(Chunk(whole, metadata, f"doc:{source}", None, forms(whole)))
    return found


def word_pieces(text: str) -> int:
    """Return about how many word pieces a text has for the model; hardly ever fewer than it counts."""
    return len(_PIECE.findall(text))


def _walk(root: Path, unlisted: list[OSError]) -> Iterator[Path]:
    """Give the documents below a folder, and the links to folders; add the folders that cannot be listed.

    Raises:
        OSError: if the folder itself cannot be listed.
    """
    os.scandir(root).close()
    for at, folders, files in os.walk(root, onerror=unlisted.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if (Path(at) / name).is_symlink()]
        names = [name for name in files if name.lower().endswith(ENDINGS) and not name.startswith(".")]
        yield from (Path(at) / name for name in sorted([*names, *links]))


def _source(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix().encode(errors="backslashreplace").decode()


def _why_skipped(path: Path, root: Path) -> str | None:
    if (kind := special_kind(path)) is not None:
        return kind
    if not path.resolve().is_relative_to(root):
        return "a link that leads out of the folder"
    if path.stat().st_size > LARGEST:
        return f"larger than {LARGEST >> 20} MiB"
    return None


def _sections(lines: list[str]) -> Iterator[_Section]:
    """Give the sections of a document, in their order; of one without lines of its own only where it has none below."""
    front = _front_matter(lines)
    headings = _headings([*[""] * front, *lines[front:]])
    starts = [*(heading.start for heading in headings), len(lines)]
    yield _Section((), 0, 0, front)
    yield _Section((), front, front, starts[0])
    path: list[_Heading] = []
    for place, heading in enumerate(headings):
        path = [*(outer for outer in path if outer.level < heading.level), heading]
        is_outer = place + 1 < len(headings) and headings[place + 1].level > heading.level
        if not is_outer or any(map(str.strip, lines[heading.end : starts[place + 1]])):
            headers = tuple(each.text for each in path if each.text)
            yield _Section(headers, heading.start, heading.end, starts[place + 1])


def _headings(lines: list[str]) -> list[_Heading]:
    """Return the headings of a document, outside of fenced blocks, quotes and lists."""
    # A return alone is the end of a line for CommonMark, and none for an editor.
    tokens = _markdown().parse("\n".join(lines).replace("\r", " "))
    return [
        _Heading(int(opening.tag[1:]), " ".join(content.content.split()), *opening.map)
        for opening, content in pairwise(tokens)
        if opening.type == "heading_open" and opening.level == 0 and opening.map is not None
    ]


@lru_cache(1)
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark").disable("inline")


def _front_matter(lines: list[str]) -> int:
    """Return how many lines at the beginning are front matter: YAML between `---` and `---`."""
    if len(lines) < 2 or lines[0].rstrip() != "---" or not _YAML_KEY.match(lines[1]):
        return 0
    ends = (place + 1 for place, line in enumerate(lines) if place and line.rstrip() in ("---", "..."))
    return next(ends, 0)


def _pieces(lines: list[str], section: _Section, room: int) -> Iterator[_Piece]:
    """Give a section in pieces of at most so many word pieces; each begins with the end of the one before."""
    units = [unit for place in range(section.body, section.end) for unit in _units(lines[place], place + 1)]
    if section.body > section.start and not any(unit.text.strip() for unit in units):
        yield _Piece(section.start + 1, section.body, "")
        return
    start = end = 0
    while end < len(units):
        end = _end_of_piece(units, start, room)
        piece = _piece(units[start:end])
        if piece is not None:
            yield piece._replace(start=section.start + 1) if start == 0 and section.body > section.start else piece
        start = _start_of_overlap(units, start, end)


def _units(line: str, number: int) -> Iterator[_Unit]:
    """Give a line; a long one in parts that the overlap has room for, cut behind blanks where it has any."""
    starts = [piece.start() for piece in _PIECE.finditer(line)]
    begin = first = 0
    while len(starts) - first > OVERLAP:
        most = starts[first + OVERLAP]
        cut = max(line.rfind(" ", begin, most), line.rfind("\t", begin, most), begin - 1) + 1
        cut = cut if cut > begin else most
        following = bisect_left(starts, cut)
        yield _Unit(number, line[begin:cut], following - first, is_line_end=False)
        begin, first = cut, following
    yield _Unit(number, line[begin:], len(starts) - first, is_line_end=True)


def _end_of_piece(units: list[_Unit], start: int, room: int) -> int:
    """Return where a piece ends that begins at `start`: at the end of a line, if it has one in its second half."""
    end, size = start, 0
    while end < len(units) and (size + units[end].size <= room or end == start):
        size += units[end].size
        end += 1
    if end == len(units):
        return end
    middle = start + (end - start + 1) // 2
    return next((place + 1 for place in range(end - 1, middle - 1, -1) if units[place].is_line_end), end)


def _start_of_overlap(units: list[_Unit], start: int, end: int) -> int:
    """Return where the piece begins that follows the one from `start` to `end`."""
    begin, size = end, 0
    while begin > start + 1 and size + units[begin - 1].size <= OVERLAP:
        begin -= 1
        size += units[begin].size
    return begin


def _piece(units: list[_Unit]) -> _Piece | None:
    """Return units as a piece, without empty lines around it; None if there is nothing else."""
    texts = [place for place, unit in enumerate(units) if unit.text.strip()]
    if not texts:
        return None
    kept = units[texts[0] : texts[-1] + 1]
    text = "".join(unit.text + ("\n" if unit.is_line_end else "") for unit in kept)
    return _Piece(kept[0].line, kept[-1].line, text.removesuffix("\n"))
