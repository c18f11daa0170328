"""What the pages promise: one for each event, every field on it, and links that lead somewhere."""

from __future__ import annotations

import json
import posixpath
import random
import re
from urllib.parse import unquote

from hypothesis import given, settings

from rugs_discovery.example import example_of
from rugs_discovery.main_fields import main_fields, reach
from rugs_discovery.meanings import OBSERVED, Meaning, Meanings
from rugs_discovery.pages import INDEX, QUICK_REFERENCE, pages
from rugs_discovery.paths import join
from rugs_discovery.schema import file_name
from rugs_discovery.summary import Summary, summarise
from rugs_discovery.wording import name_text, printable
from tests.support.documentkit import hostile_summary, state_of, summary_of, tables_of, tokens_of
from tests.support.examples import examples
from tests.support.jsons import JSON

STATE = {
    "price": 1.5,
    "gameId": "20251215-0229cacf684f458c",
    "leaderboard": [
        {"id": "did:privy:abc", "pnl": 0.5, "bet": None},
        {"id": "did:privy:abd", "pnl": -1, "bet": {"x": 5}},
    ],
    "prices": [[1, 1.5], []],
    "values": {"1": 1.5, "2": 2},
    "odd.key": "x",
}
SUMMARY = summary_of(
    ("state", STATE),
    ("state", {**STATE, "price": "much"}),
    ("state", {"price": None, "rare": True}),
    ("a/trade", None),
)
MEANINGS = Meanings(
    {"state": Meaning("The state of the game.", "m", OBSERVED)},
    {"data.price": [Meaning("The price.", "m", "contradicted", "x", "A document differs.")]},
)


def written(summary: Summary = SUMMARY, meanings: Meanings = MEANINGS) -> dict[str, str]:
    return pages(summary, meanings, file_name)


def targets(name: str, markdown: str) -> set[str]:
    """The targets of all links of a page, from the folder of the documents."""
    found = set()
    for token in tokens_of(markdown):
        if token.type == "link_open":
            path, _, anchor = unquote(str(token.attrs["href"])).partition("#")
            whole = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
            found.add(f"{whole}#{anchor}" if anchor else whole)
    return found


def anchors(markdown: str) -> list[str]:
    return re.findall(r'<a id="([^"]*)"></a>', markdown)


def check_links(summary: Summary, found: dict[str, str]) -> None:
    names = [file_name(key) for key in summary.events]
    there = {*found, *(f"schemas/{name}.{kind}.json" for name in names for kind in ("open", "strict"))}
    for name, markdown in found.items():
        ids = anchors(markdown)
        assert len(ids) == len(set(ids))
        there |= {f"{name}#{anchor}" for anchor in ids}
    for name, markdown in found.items():
        assert targets(name, markdown) <= there


def test_there_is_a_page_for_each_event_an_index_and_a_quick_reference() -> None:
    assert written().keys() == {INDEX, QUICK_REFERENCE, "events/state.md", f"events/{file_name('a/trade')}.md"}


def test_all_links_lead_to_a_page_an_anchor_or_a_schema() -> None:
    found = written()
    check_links(SUMMARY, found)
    assert {"events/state.md", "events/state.md#data.leaderboard:.pnl"} <= targets(INDEX, found[INDEX])
    assert {INDEX, QUICK_REFERENCE, "schemas/state.strict.json"} <= targets("events/state.md", found["events/state.md"])


def test_a_page_says_everything_about_every_field() -> None:
    page = written()["events/state.md"]
    assert page.startswith("# `state`\n\nThe state of the game.\n\n- Events: 3, 75% of all\n- Fields: 16\n")
    sections = re.split(r"^### <a id=\"[^\"]*\"></a>", page.partition("\n## Details\n")[2], flags=re.MULTILINE)
    details = {heading.strip("`"): text.strip() for heading, _, text in (each.partition("\n") for each in sections[1:])}
    assert list(details) == list(SUMMARY.events["state"].fields)
    assert details["data.price"] == (
        "The price. Unit: x. Contradicted: A document differs.\n"
        "\n"
        "- Type: null 33.3%, number 33.3%, string 33.3%, varies\n"
        "- Presence: 100% of `data` (3 of 3)\n"
        '- Values: always 1.5; such as `"much"`\n'
        "- First: null 2025-12-06T05:46:42Z, capture.jsonl:3; number 2025-12-06T05:46:40Z, capture.jsonl:1;"
        " string 2025-12-06T05:46:41Z, capture.jsonl:2\n"
        "- Last: 2025-12-06T05:46:42Z, capture.jsonl:3"
    )
    assert "- Presence: 66.7% of `data` (2 of 3)" in details["data.gameId"]
    assert "- Map: all 2 keys are whole numbers" in details["data.values"]
    assert '`"<player id>"`' in details["data.leaderboard[].id"]
    assert "- Presence: 4 elements" in details["data.leaderboard[]"]
    assert "- Type varies: [`data.price`](#data.price), null 33.3%, number 33.3%, string 33.3%\n" in page
    assert "- Map: `data.values`, because all 2 keys are whole numbers\n" in page


def test_the_fields_of_each_object_are_a_table_with_those_first_that_are_always_there() -> None:
    page = written()["events/state.md"]
    first, second, third = tables_of(page)[:3]
    assert [row[0] for row in first] == [
        "field", "price", "gameId", "leaderboard", "leaderboard[]", "odd\\.key", "prices", "prices[]", "prices[][]",
        "values", "values{*}", "rare",
    ]  # fmt: skip
    assert [row[0] for row in second] == ["field", "bet", "id", "pnl"]
    assert [row[0] for row in third] == ["field", "x"]
    assert first[4] == ["leaderboard[]", "object", "", "3 fields", ""]
    assert first[1] == [
        "price", "null or number or string", "100%", 'always 1.5; such as "much"',
        "The price. Unit: x. Contradicted: A document differs.",
    ]  # fmt: skip


def test_every_field_of_every_event_is_on_its_page_and_in_the_index() -> None:
    for summary in (SUMMARY, hostile_summary()):
        found = written(summary)
        indexed = {row[0] for row in tables_of(found[INDEX])[1]}
        for event in summary.events.values():
            paths = {printable(field.path) for field in event.all_fields}
            tokens = tokens_of(found[f"events/{file_name(event.key)}.md"])
            assert paths <= {token.content for token in tokens if token.type in ("text", "code_inline")}
            assert paths <= indexed


def test_the_quick_reference_has_the_fields_first_that_most_events_carry() -> None:
    events, fields = tables_of(written()[QUICK_REFERENCE])
    assert [row[0] for row in events] == ["event", "state", "a/trade"]
    assert events[1] == ["state", "3", "75%", "16", "The state of the game."]
    assert [row[0] for row in fields][:3] == ["path", "data.price", "data.gameId"]
    assert fields[1][3:] == ["The price.", "state"]


def test_a_field_is_carried_by_no_more_events_than_what_is_around_it() -> None:
    summary = summary_of(("e", {"a": {"b": 1}, "c": [{"d": 1}, {}]}), ("e", {"a": None}), ("e", {}), ("e", {"a": {}}))
    event = summary.events["e"]
    assert reach(event) == {
        "data": 4, "data.a": 3, "data.a.b": 1, "data.c": 1, "data.c[]": 1, "data.c[].d": 0.5,
    }  # fmt: skip
    assert list(main_fields(summary)) == ["data.a.b", "data.c[].d"]
    assert list(main_fields(summary, 1)) == ["data.a.b"]


def test_an_example_has_each_field_once_with_an_observed_value() -> None:
    example = example_of(SUMMARY.events["state"])
    assert example.pop("values") in ({"1": 1.5}, {"2": 1.5}, {"1": 2}, {"2": 2})
    assert example.pop("prices") in ([[1]], [[1.5]])
    assert example.pop("leaderboard")[0]["bet"] == {"x": 5}
    assert example == {"gameId": "20251215-0229cacf684f458c", "odd.key": "x", "price": 1.5, "rare": False}
    assert example_of(SUMMARY.events["a/trade"]) is None
    assert example_of(summary_of(("e", [])).events["e"]) == []
    assert example_of(summary_of(("e", {"a": "x", "b": 5}), private=True).events["e"]) == {"a": "...", "b": 0}


@settings(max_examples=examples(40))
@given(JSON, JSON)
def test_an_example_has_exactly_the_fields_that_are_known(one: object, other: object) -> None:
    event = summary_of(("e", one), ("e", other)).events["e"]
    example = summary_of(("e", example_of(event))).events["e"]
    folded = any(field.map_evidence for field in event.all_fields)
    assert folded or example.fields.keys() <= event.fields.keys()
    json.dumps(example_of(event))


def test_hostile_names_stay_names() -> None:
    summary = hostile_summary()
    found = written(summary, Meanings())
    for markdown in found.values():
        markdown.encode()
        tokens = tokens_of(markdown)
        html = {token.content for token in tokens if token.type.startswith("html")}
        assert all(re.fullmatch(r'</?code>|<a id="[^"<>]*">|</a>', each) for each in html)
        assert sum(token.type in ("fence", "code_block") for token in tokens) <= 1, "the example, and no other code"
    for event in summary.events.values():
        heading = tokens_of(found[f"events/{file_name(event.key)}.md"].partition("\n")[0])
        assert name_text(event.key) in [token.content for token in heading]


def test_links_of_hostile_names_lead_somewhere() -> None:
    summary = hostile_summary()
    check_links(summary, written(summary, Meanings()))


def test_pages_do_not_depend_on_the_order_in_which_events_were_read() -> None:
    events = [("state", {"price": number, "kind": f"k{number % 30}", f"key{number}": None}) for number in range(100)]
    found = []
    for seed in range(2):
        order = list(range(len(events)))
        random.Random(seed).shuffle(order)
        merged = state_of()
        for part in (sorted(order[:40]), sorted(order[40:])):
            merged.merge(state_of(*(events[number] for number in part), lines=[number + 1 for number in part]))
        found.append(written(summarise(merged)))
    assert found[0] == found[1] == written(summary_of(*events))


def test_a_path_that_has_no_anchor_of_its_own_gets_one_of_its_hash() -> None:
    path = join(("data", "odd.key"))
    page = written()["events/state.md"]
    assert any(re.fullmatch(r"field-[0-9a-f]{12}", anchor) for anchor in anchors(page))
    assert path in [row[0] for row in tables_of(written()[INDEX])[1]]
