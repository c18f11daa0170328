"""Summaries of made-up events, hostile names, and Markdown as a browser would show it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rugs_discovery.batch import take
from rugs_discovery.messages import read_line
from rugs_discovery.nodes import Place
from rugs_discovery.state import State
from rugs_discovery.summary import Summary, summarise

START: Final = 1_764_999_999_000_000
"""A second before the first event, µs since the Unix epoch: 2025-12-06T05:46:39Z."""
SECOND: Final = 1_000_000

HOSTILE: Final = (
    "",
    " ",
    "a|b",
    "a\\|b",
    "a\nb\r\n\n# c",
    "<script>alert(1)</script>",
    "<!-- rugs discovery: end -->",
    "`",
    "``x``",
    "\ud800",
    "x" * 300,
    "a.b[]{*}\\",
    "# title",
    "[a](http://b)",
    "![a](b)",
    "**b** __c__ ~~d~~",
    "&lt;&#60;",
    "\x1b[31mred\x00",
    "a\u202eb\u2028c",
    "://?#%20'\"",
    "data",
    "é 漢 😀",
)
"""Names that a careless document would let out of their place."""


def summary_of(*events: tuple[str, Any], private: bool = False) -> Summary:
    """Return what discovery says of events, each a name and its payload, a second apart."""
    return summarise(state_of(*events, private=private))


def state_of(*events: tuple[str, Any], private: bool = False, lines: Sequence[int] | None = None) -> State:
    """Return the state of events, each a name and its payload, a second apart.

    Args:
        lines: those of the events, if they are not 1, 2, 3, ...
    """
    texts = [json.dumps({"event": name, "data": data}).encode() for name, data in events]
    numbers = range(1, len(events) + 1) if lines is None else lines

    def place_of(index: int) -> Place:
        return Place(START + numbers[index] * SECOND, "capture.jsonl", numbers[index])

    return take(texts, place_of, lambda key, is_sent: not private, read_line)


def hostile_summary() -> Summary:
    """Return what discovery says of events of which every name, key and string is hostile."""
    payload = {key: {"text": key, "list": [key], "map": {"1": key, "2": key}} for key in HOSTILE}
    return summary_of(("every key", payload), *((name, {name: name}) for name in HOSTILE))


def tokens_of(markdown: str) -> list[Token]:
    """Return the tokens of a document: blocks, and the inline ones in them."""
    blocks = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    return [token for block in blocks for token in (block, *(block.children or ()))]


def tables_of(markdown: str) -> list[list[list[str]]]:
    """Return the cells of each table, by row, as the text that a reader sees."""
    tables: list[list[list[str]]] = []
    in_cell = False
    for token in tokens_of(markdown):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type in ("td_open", "th_open"):
            tables[-1][-1].append("")
            in_cell = True
        elif token.type in ("td_close", "th_close"):
            in_cell = False
        elif in_cell and token.type in ("text", "code_inline"):
            tables[-1][-1][-1] += token.content
    return tables
