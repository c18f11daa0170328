"""Chunks of Markdown: split at headings, cut to what the model reads, with lines that contain them."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_index.chunk import Chunk
from rugs_index.chunkers import document
from rugs_index.chunkers.document import OVERLAP, WINDOW, chunks_of, documents, word_pieces

DOCUMENT = """\
Before any heading.

# The lake | and more

An introduction.

## Reading

Line one.
Line two.

```python
# no heading
## none either
```

Setext
------

Below it.

### Deep `code`

> # quoted: no heading

- # listed: no heading

# Last #
"""


def bodies(chunks: list[Chunk]) -> list[tuple[list[str], int, int, str]]:
    """Return of each chunk its headings, its lines, and its text without the headings."""
    return [
        (each.metadata["headers"], each.metadata["line_start"], each.metadata["line_end"], body_of(each))
        for each in chunks
    ]


def body_of(chunk: Chunk) -> str:
    context = " > ".join(chunk.metadata["headers"])
    if not context:
        return chunk.text
    assert chunk.text == context or chunk.text.startswith(context + "\n\n")
    return chunk.text.removeprefix(context).removeprefix("\n\n")


def lines_of(text: str, chunk: Chunk) -> str:
    lines = text.replace("\r\n", "\n").split("\n")
    first, last = chunk.metadata["line_start"], chunk.metadata["line_end"]
    assert 1 <= first <= last <= len(lines)
    return "\n".join(lines[first - 1 : last])


def test_sections_with_their_headings_and_lines() -> None:
    title = "The lake | and more"
    assert bodies(chunks_of(DOCUMENT, "docs/lake.md")) == [
        ([], 1, 1, "Before any heading."),
        ([title], 3, 5, "An introduction."),
        ([title, "Reading"], 7, 15, "Line one.\nLine two.\n\n```python\n# no heading\n## none either\n```"),
        ([title, "Setext"], 17, 20, "Below it."),
        ([title, "Setext", "Deep `code`"], 22, 26, "> # quoted: no heading\n\n- # listed: no heading"),
        (["Last"], 28, 28, ""),
    ]


def test_metadata_and_scope() -> None:
    (chunk,) = chunks_of("# A|B\n\nSee gameStateUpdate.", "docs/ü.md")
    assert chunk.metadata == {
        **{"source": "docs/ü.md", "kind": "document", "doc_type": "document", "headers": ["A|B"]},
        **{"line_start": 1, "line_end": 3},
    }
    assert (chunk.scope_key, chunk.owner, chunk.text) == ("doc:docs/ü.md", None, "A|B\n\nSee gameStateUpdate.")
    assert chunk.search_text == "game state update"


@pytest.mark.parametrize("text", ["", "\n\n", "  \n\t\n", "\ufeff"])
def test_a_document_without_text_has_no_chunks(text: str) -> None:
    assert chunks_of(text, "a.md") == []


def test_line_ends_change_no_id() -> None:
    unix, dos = chunks_of(DOCUMENT, "a.md"), chunks_of("\ufeff" + DOCUMENT.replace("\n", "\r\n"), "a.md")
    assert [(each.id, each.metadata) for each in unix] == [(each.id, each.metadata) for each in dos]


def test_a_return_alone_ends_no_line() -> None:
    assert bodies(chunks_of("one\r# no heading\ntwo", "a.md")) == [([], 1, 2, "one\r# no heading\ntwo")]


def test_front_matter_is_a_chunk_and_no_heading() -> None:
    text = "---\ntitle: A\nkey: b\n---\n# Heading\ntext\n"
    assert bodies(chunks_of(text, "a.md")) == [
        ([], 1, 4, "---\ntitle: A\nkey: b\n---"),
        (["Heading"], 5, 6, "text"),
    ]
    assert bodies(chunks_of("---\n\nA line.\n\n---\n", "a.md")) == [([], 1, 5, "---\n\nA line.\n\n---")]
    assert bodies(chunks_of("---\nkey: never closed\n", "a.md")) == [([], 1, 2, "---\nkey: never closed")]


def test_headings_without_text_are_in_the_headings_below_them() -> None:
    text = "# Top\n## Empty\n## Full\ntext\n# \nafter an empty heading\n"
    assert bodies(chunks_of(text, "a.md")) == [
        (["Top", "Empty"], 2, 2, ""),
        (["Top", "Full"], 3, 4, "text"),
        ([], 5, 6, "after an empty heading"),
    ]


def test_a_long_section_is_cut_with_an_overlap() -> None:
    text = "# Long\n" + "\n".join(f"Line {number} of a long section." for number in range(200))
    chunks = chunks_of(text, "a.md")
    assert len(chunks) > 5
    for before, after in pairwise(chunks):
        shared = range(after.metadata["line_start"], before.metadata["line_end"] + 1)
        assert OVERLAP // 2 < sum(word_pieces(text.split("\n")[line - 1]) for line in shared) <= OVERLAP
    assert {tuple(each.metadata["headers"]) for each in chunks} == {("Long",)}
    assert chunks[0].metadata["line_start"] == 1
    assert chunks[-1].metadata["line_end"] == 201


def test_a_paragraph_is_cut_at_the_end_of_a_line_where_there_is_one() -> None:
    sentence = "This sentence has about ten words and ends here. "
    text = "\n".join(sentence * 4 for _ in range(12))
    *cut, _ = chunks_of(text, "a.md")
    assert all(body_of(each).endswith("here. ") for each in cut)


def test_a_huge_line_is_cut_at_its_blanks() -> None:
    text = "# Huge\n" + " ".join(f"word{number}" for number in range(10_000)) + "\nend\n"
    chunks = chunks_of(text, "a.md")
    assert len(chunks) > 100
    assert chunks[3].metadata["line_start"] == chunks[3].metadata["line_end"] == 2
    assert all(body_of(each) in lines_of(text, each) for each in chunks)
    assert sum(body_of(each).count("word5000 ") for each in chunks) >= 1


def test_a_table_keeps_its_lines() -> None:
    table = "| a | b |\n| --- | --- |\n" + "\n".join(f"| {n} | {n} |" for n in range(5))
    assert bodies(chunks_of(f"# T\n\n{table}\n", "a.md")) == [(["T"], 1, 9, table)]


PARTS = st.sampled_from(
    [
        *("# One", "## Two | three", "### ", "Setext\n===", "- - -", "```", "~~~\n# x\n~~~", "    # code", "> # quote"),
        *("a line of text", "", "  ", "| a | b |\n| - | - |", "\tgameStateUpdate", "é☕日本" * 30, "x" * 700),
        *("word " * 150, "<!--", "-->", "[a]: b", "1. # list", "\x0b\x0c\u2028"),
    ]
)


@given(st.lists(PARTS, max_size=25), st.sampled_from(["\n", "\r\n"]))
def test_chunks_are_in_their_lines_and_lose_nothing(parts: list[str], end: str) -> None:
    text = "\n".join(parts).replace("\n", end)
    chunks = chunks_of(text, "a.md")
    covered: set[int] = set()
    for chunk in chunks:
        assert body_of(chunk) in lines_of(text, chunk)
        assert word_pieces(chunk.text) <= WINDOW
        covered |= set(range(chunk.metadata["line_start"], chunk.metadata["line_end"] + 1))
    headers = {header for chunk in chunks for header in chunk.metadata["headers"]}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        is_heading = any(header in line or line.strip() in header for header in headers)
        is_heading = is_heading or not line.strip("#=- >\t\x0b\x0c\u2028")
        assert number in covered or is_heading, (number, line)
    assert chunks == chunks_of(text, "a.md")


@given(st.text(alphabet="#=-`~> \n\rabé|*1.", max_size=200))
def test_no_text_makes_it_fail(text: str) -> None:
    for chunk in chunks_of(text, "a.md"):
        assert body_of(chunk) in lines_of(text, chunk)


def test_a_folder_is_walked_by_name(tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("# Outside")
    folder = tmp_path / "docs"
    (folder / "sub" / ".git").mkdir(parents=True)
    (folder / "sub" / "ü.MD").write_text("# B")
    (folder / "sub" / ".git" / "c.md").write_text("# hidden")
    (folder / "a.markdown").write_text("# A")
    (folder / ".hidden.md").write_text("# hidden")
    (folder / "notes.txt").write_text("no Markdown")
    (folder / "bad.md").write_bytes(b"# Not UTF-8\n\xff\n")
    (folder / "empty.md").write_bytes(b"")
    (folder / "link.md").symlink_to(folder / "a.markdown")
    (folder / "out.md").symlink_to(outside)
    (folder / "gone.md").symlink_to(tmp_path / "nowhere")
    (folder / "linked").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(folder / "pipe.md")
    found = [(each.source, len(each.chunks), each.skipped) for each in documents(folder)]
    assert found == [
        ("a.markdown", 1, None),
        ("bad.md", 0, "not UTF-8 at byte 12"),
        ("empty.md", 0, None),
        ("gone.md", 0, "it points nowhere"),
        ("link.md", 1, None),
        ("linked", 0, "a link to a folder: name it itself, and it is entered"),
        ("out.md", 0, "a link that leads out of the folder"),
        ("pipe.md", 0, "a pipe, not a plain file"),
        ("sub/ü.MD", 1, None),
    ]


def test_ids_do_not_depend_on_where_the_folder_is(tmp_path: Path) -> None:
    def ids(folder: Path) -> list[Any]:
        folder.mkdir(parents=True)
        (folder / "a.md").write_text(DOCUMENT)
        return [chunk.id for each in documents(folder) for chunk in each.chunks]

    assert ids(tmp_path / "one") == ids(tmp_path / "other" / "place")


def test_a_document_that_is_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "LARGEST", 1 << 20)
    (tmp_path / "large.md").write_bytes(b"x" * ((1 << 20) + 1))
    assert [each.skipped for each in documents(tmp_path)] == ["larger than 1 MiB"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(documents(tmp_path / "absent"))
    (tmp_path / "file.md").write_text("# A")
    with pytest.raises(NotADirectoryError):
        list(documents(tmp_path / "file.md"))
