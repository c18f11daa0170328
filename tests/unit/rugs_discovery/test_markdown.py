"""What Markdown promises: whatever a text is, a reader sees that text, and nothing else changes."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_discovery.markdown import code, fenced_json, link, prose, table
from rugs_discovery.wording import printable
from tests.support.documentkit import HOSTILE, tables_of, tokens_of
from tests.support.examples import examples

MARKUP = st.text(st.sampled_from("`|\\<>&*_[]()!#~-+=.:;/1a b\n\r\t\x1b\ud800é\u202e"), max_size=12)
TEXTS = st.one_of(MARKUP, st.text(max_size=20), st.sampled_from(HOSTILE))


def shown(markdown: str) -> str:
    return "".join(token.content for token in tokens_of(markdown) if token.type in ("text", "code_inline"))


@given(TEXTS)
def test_prose_is_read_as_it_was_written_and_as_nothing_else(text: str) -> None:
    markdown = prose(text)
    kinds = {token.type for token in tokens_of(markdown)}
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text"}
    assert shown(markdown) == printable(text).strip()


@settings(max_examples=examples(40))
@given(TEXTS)
def test_code_is_read_as_it_was_written_also_in_headings(text: str) -> None:
    for markdown in (code(text), f"# {code(text)}", f"- {code(text)}: more"):
        html = [token.content for token in tokens_of(markdown) if token.type.startswith("html")]
        assert html in ([], ["<code>", "</code>"])
        assert shown(markdown).removesuffix(": more") == printable(text)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_no_text_leaves_its_cell(rows: list[tuple[str, str]]) -> None:
    cells = [[code(left), prose(right)] for left, right in rows]
    (found,) = tables_of(table(["left", "right"], cells, [1]))
    assert [len(row) for row in found] == [2] * (len(rows) + 1)
    assert [row[1] for row in found[1:]] == [" ".join(printable(right).split(" ")).strip() for _, right in rows]


@given(TEXTS)
def test_a_link_has_its_label_and_a_target_without_spaces_or_brackets(text: str) -> None:
    markdown = link(code(text), f"events/{text.encode(errors='replace').hex()} (1).md#a:b")
    (opened,) = [token for token in tokens_of(markdown) if token.type == "link_open"]
    assert str(opened.attrs["href"]).endswith("%20%281%29.md#a:b")
    assert shown(markdown) == printable(text)


@given(st.dictionaries(st.text(max_size=8), TEXTS, max_size=4))
def test_a_block_of_json_ends_where_it_should_and_is_json(value: dict[str, str]) -> None:
    markdown = fenced_json(value) + "\nafter\n"
    blocks = [token for token in tokens_of(markdown) if token.type == "fence"]
    assert [block.info for block in blocks] == ["json"]
    assert shown(markdown) == "after"
    assert all(line.isprintable() for line in blocks[0].content.split("\n"))
    json.loads(blocks[0].content.replace("\\x", "\\\\x").replace("\\U", "\\\\U"))


def test_plain_texts_stay_readable_without_a_renderer() -> None:
    assert code("data.leaderboard[].pnl") == "`data.leaderboard[].pnl`"
    assert prose("The price at tick_count <= 10, 3 & more") == "The price at tick_count <= 10, 3 & more"
