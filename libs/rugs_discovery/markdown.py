"""Markdown in which no text of the feed can be anything but text: not the end of a cell, not a link, not HTML.

Plain texts stay as they are; only what a reader of Markdown could take for markup is escaped. Texts are made
`wording.printable` here. Tables are those of GitHub's Markdown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote

from rugs_discovery.wording import printable

_PROSE: Final = re.compile(r"[\\`*\[|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|<(?=[A-Za-z/!?])|&(?=[A-Za-z#])")
_BLOCK_START: Final = re.compile(r"^(\d+(?=[.)])|(?=[#+\-=>:]))")
_ENTITIES: Final = {"<": "&lt;", "&": "&amp;"}
_CODE: Final = re.compile(r"[!#&*+:<=>@\[\\\]^_`{|}~]")
_PLAIN_CODE: Final = re.compile(r"[^`|\s](?:[^`|]*[^`|\s])?")
_FENCE: Final = re.compile(r"`{3,}")


def prose(text: str) -> str:
    """Return a text for a paragraph, an item of a list or a cell of a table."""
    shown = printable(text).strip()
    escaped = _PROSE.sub(lambda found: _ENTITIES.get(found[0], "\\" + found[0]), shown)
    return _BLOCK_START.sub(r"\1\\", escaped)


def code(text: str) -> str:
    """Return a text as code, for all these places and for headings."""
    shown = printable(text)
    if _PLAIN_CODE.fullmatch(shown):
        return f"`{shown}`"
    return f"<code>{_CODE.sub(lambda found: f'&#{ord(found[0])};', shown)}</code>"


def link(label: str, target: str) -> str:
    """Return a link; `label` is Markdown, `target` a path, or `#` and an anchor."""
    return f"[{label}]({quote(target, safe='/#:.-_~')})"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """Return a table of cells that are Markdown; `numbers` are the columns to align to the right."""
    right = set(numbers)
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, rule, *rows))


def fenced_json(value: Any) -> str:
    """Return a JSON value as a block of code."""
    lines = json.dumps(value, ensure_ascii=False, indent=2).split("\n")
    text = "\n".join(map(printable, lines))
    longest = max((len(run) for run in _FENCE.findall(text)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{fence}json\n{text}\n{fence}\n"
