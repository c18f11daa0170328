"""A domain that only tests have: notes, which have keys and owners. It shows all that a new domain needs.

`note` is keyed by its scope and `fields.key`; its content is `text` and `price`. `note_seen` is not keyed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from rugs_lake import domains as lake
from rugs_lake.domains.domain import Domain as LakeDomain
from rugs_lake.domains.domain import Private
from rugs_proto import domains as contract
from rugs_proto.domains.domain import Domain, Keyed, KeyPart, Said
from tests.support.lakekit import NOON_US


def _key(said: Said) -> tuple[KeyPart, ...]:
    key = said.fields.get("key")
    if type(key) is not str:
        raise ValueError("fields.key is not text")
    return said.session_id, key


NOTES: Final = Domain(
    name="notes",
    doc_types=("note", "note_seen"),
    keyed={"note": Keyed(_key, frozenset({"text", "price", "detail"}), "`[session_id, key]` (`key` from `fields`)")},
)

IN_LAKE: Final = LakeDomain(
    contract=NOTES,
    views={
        "notes": "SELECT session_id AS scope, extra->>'$.key' AS key, extra->>'$.text' AS text, price, owner FROM note"
        " WHERE extra->>'$.kind' IS DISTINCT FROM 'hidden'"
    },
    private={"note": Private(owner="fields.owner")},
    retention={"note_seen": 30},
)


@contextmanager
def notes_registered() -> Iterator[None]:
    """Register the domain while the body runs."""
    with ExitStack() as stack:
        for table in (contract.DOMAINS, contract.KEYED, lake.DOMAINS, lake.PRIVATE):
            stack.callback(_restore, table, table.copy())
        contract.register(NOTES)
        lake.register(IN_LAKE)
        yield


def _restore(table: dict[str, Any], before: dict[str, Any]) -> None:
    table.clear()
    table.update(before)


def note(key: str = "k", scope: str = "scope-1", **changes: Any) -> dict[str, Any]:
    """Return a note as it travels; changes of `text`, `price`, `detail`, `owner` and `kind` go into its fields."""
    fields = {name: changes.pop(name) for name in ("text", "price", "detail", "owner", "kind") if name in changes}
    content: dict[str, Any] = {
        "v": 1,
        "ts": NOON_US,
        "doc_type": "note",
        "source": "my_agent",
        "session_id": scope,
        "seq": 1,
        "direction": "internal",
        "event": "note",
        "fields": {"key": key, **fields},
        "raw": '{"as": "received"}',
    }
    return {name: value for name, value in {**content, **changes}.items() if value is not ...}
