"""What the section of CONTEXT.md files promises: it is current, and every other byte stays."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_core.errors import RugsError
from rugs_discovery.context import BEGIN, END, ContextError, refresh, section, with_section
from rugs_discovery.meanings import OBSERVED, Meaning, Meanings
from tests.support.documentkit import hostile_summary, summary_of, tables_of, tokens_of
from tests.support.examples import examples

SUMMARY = summary_of(("state", {"price": 1.5, "odd.key": "x"}), ("state", {"price": 2}), ("trade", None))
MEANINGS = Meanings({"state": Meaning("The state.", "m", OBSERVED)}, {"data.price": [Meaning("The price.", "m")]})
PAIR = f"{BEGIN}\nold\n{END}\n".encode()

lines = st.lists(
    st.one_of(
        st.text(max_size=5).map(str.encode), st.sampled_from([b"", b"# Title", b"\xff\xfe", f"see `{BEGIN}`".encode()])
    ),
    max_size=4,
)
endings = st.sampled_from([b"\n", b"\r\n", b"\r"])


def test_the_section_names_every_event_with_its_keys_and_the_main_fields() -> None:
    text = section(SUMMARY, MEANINGS)
    assert "\n- `state`, 2: The state. Always: `price`. Sometimes: `odd\\.key`.\n- `trade`, 1:\n" in text
    (table,) = tables_of(text)
    assert table[:2] == [["path", "type", "values", "meaning"], ["data.price", "number", "1.5 to 2", "The price."]]


@settings(max_examples=examples(40))
@given(lines, lines, endings)
def test_only_what_is_between_the_marks_changes(before: list[bytes], after: list[bytes], ending: bytes) -> None:
    head = b"".join(line.replace(b"\0", b"") + ending for line in before)
    tail = ending.join(line.replace(b"\0", b"") for line in after)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = b"-" + head
    content = head + b"  " + BEGIN.encode() + ending + b"old" + ending + END.encode() + b" " + ending + tail
    found = with_section(content, "new\nlines\n")
    assert found == (
        head
        + b"  "
        + BEGIN.encode()
        + ending
        + b"new"
        + ending
        + b"lines"
        + ending
        + END.encode()
        + b" "
        + ending
        + tail
    )
    assert with_section(found, "new\nlines\n") == found


@settings(max_examples=examples(40))
@given(lines, endings, st.booleans())
def test_without_marks_the_section_is_appended_and_then_stays(
    before: list[bytes], ending: bytes, is_ended: bool
) -> None:
    content = ending.join(line.replace(b"\0", b"") for line in before) + (ending if is_ended else b"")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        content = b"-" + content
    found = with_section(content, "new\n")
    assert found.startswith(content)
    assert found.count(BEGIN.encode()) == content.count(BEGIN.encode()) + 1
    assert found.endswith((b"\n", b"\r")) == (not content or content.endswith((b"\n", b"\r")))
    assert with_section(found, "new\n") == found
    assert b"newer" in with_section(found, "newer\n")
    assert with_section(with_section(found, "newer\n"), "new\n") == found


@pytest.mark.parametrize(
    ("content", "places"),
    [
        (PAIR + PAIR, "line 1, 3, 4, 6"),
        (f"{BEGIN}\n{BEGIN}\n{END}\n{END}\n".encode(), "line 1, 2, 3, 4"),
        (f"{BEGIN}\n{BEGIN}\n{END}\n".encode(), "line 1, 2, 3"),
        (f"{END}\n{BEGIN}\n".encode(), "line 1, 2"),
        (f"text\r\n{BEGIN}\r\n".encode(), "line 2"),
        (f"{END}".encode(), "line 1"),
    ],
)
def test_marks_that_are_not_one_pair_are_an_error_and_the_file_stays(
    tmp_path: Path, content: bytes, places: str
) -> None:
    path = tmp_path / "CONTEXT.md"
    path.write_bytes(content)
    with pytest.raises(ContextError, match=rf"CONTEXT\.md: {places}: the marks must be one begin") as caught:
        refresh(path, SUMMARY, MEANINGS)
    assert path.read_bytes() == content
    assert isinstance(caught.value, RugsError)


@pytest.mark.parametrize("content", ["text".encode("utf-16"), "text".encode("utf-16-le"), "text".encode("utf-32")])
def test_a_file_in_an_encoding_that_is_not_asciis_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "CONTEXT.md"
    path.write_bytes(content)
    with pytest.raises(ContextError, match="save it as UTF-8"):
        refresh(path, SUMMARY, MEANINGS)
    assert path.read_bytes() == content


def test_a_file_that_is_not_utf_8_gets_a_section_in_ascii() -> None:
    found = with_section(b"caf\xe9\n", "caf\u00e9\n")
    assert found.startswith(b"caf\xe9\n")
    assert b"caf&#233;\n" in found
    assert "café\n".encode() in with_section("café\n".encode(), "café\n")


def test_refreshing_twice_changes_nothing_and_keeps_mode_and_link(tmp_path: Path) -> None:
    path, link = tmp_path / "docs" / "CONTEXT.md", tmp_path / "CONTEXT.md"
    path.parent.mkdir()
    path.write_bytes(b"# Mine\r\n")
    path.chmod(0o640)
    link.symlink_to(path)
    assert refresh(link, SUMMARY, MEANINGS) is True
    content, inode = path.read_bytes(), path.stat().st_ino
    assert content.startswith(b"# Mine\r\n\r\n" + BEGIN.encode() + b"\r\n")
    assert content.endswith(END.encode() + b"\r\n")
    assert content.count(b"\n") == content.count(b"\r\n")
    assert refresh(link, SUMMARY, MEANINGS) is False
    assert (path.read_bytes(), path.stat().st_ino) == (content, inode), "it is not even written"
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in path.parent.iterdir()] == ["CONTEXT.md"]


def test_a_file_that_cannot_be_used_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for name, says in (("absent", "no such file; create it"), ("", "directory"), ("circle", "circle: ")):
        with pytest.raises(ContextError, match=says):
            refresh(tmp_path / name, SUMMARY, MEANINGS)


def test_hostile_names_cannot_end_the_section(tmp_path: Path) -> None:
    path = tmp_path / "CONTEXT.md"
    path.write_bytes(PAIR + b"after\n")
    summary = hostile_summary()
    assert refresh(path, summary, Meanings()) is True
    assert refresh(path, summary, Meanings()) is False
    assert path.read_bytes().endswith(END.encode() + b"\nafter\n")
    html = {token.content.strip() for token in tokens_of(path.read_text()) if token.type.startswith("html")}
    assert html <= {BEGIN, END, "<code>", "</code>"}
