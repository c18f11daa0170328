"""A folder with recordings, and one with the documents of them, for tests of the proof."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rugs_discovery.documented import read_documents
from rugs_discovery.documents import as_document
from rugs_discovery.scan import scan
from rugs_discovery.schema import file_name, open_schema, strict_schema
from rugs_discovery.summary import summarise
from rugs_discovery.tally import Tallier
from rugs_discovery.verify import Report, verify

TICKS = [
    {"event": "gameStateUpdate", "data": {"price": 1 + n / 4, "tickCount": n, "prices": {str(n): 1, str(n + 1): 2.5}}}
    for n in range(12)
]
TRADES = [
    {"event": "standard/newTrade", "data": [{"__trace": True}, {"type": "buy", "qty": 1, "tags": [["a"], []]}]}
    for _ in range(3)
]
GAME = [*TICKS, *TRADES]


class Room:
    """A folder with recordings, and one with the documents of them."""

    def __init__(self, folder: Path) -> None:
        self.recordings = folder / "recordings"
        self.documents = folder / "documents"
        self.recordings.mkdir()

    def record(self, *lines: Any, name: str = "a.jsonl") -> Path:
        """Write a recording: bytes and text as they are, anything else as JSON."""
        path = self.recordings / name
        texts = [line if isinstance(line, bytes | str) else json.dumps(line) for line in lines]
        path.write_bytes(b"\n".join(text if isinstance(text, bytes) else text.encode() for text in texts))
        return path

    def document(self, levels: int = 10) -> Room:
        """Scan the recordings, and write the documents."""
        result = scan(self._paths(), processes=1, levels=levels)
        summary = summarise(result.state)
        (self.documents / "schemas").mkdir(parents=True)
        self.write("fields.json", as_document(summary))
        self.write("manifest.json", {"files": [asdict(source) for source in result.sources]})
        for event in summary.events.values():
            self.write(f"schemas/{file_name(event.key)}.strict.json", strict_schema(event))
            self.write(f"schemas/{file_name(event.key)}.open.json", open_schema(event))
        return self

    def change(self, name: str, change: Callable[[Any], object]) -> None:
        """Change one of the documents."""
        content = json.loads((self.documents / name).read_text())
        change(content)
        self.write(name, content)

    def write(self, name: str, content: object) -> None:
        (self.documents / name).write_text(json.dumps(content))

    def verify(self) -> Report:
        with Tallier(read_documents(self.documents)) as tallier:
            return verify(self.documents, map(tallier.file, self._paths()))

    def findings(self) -> list[str]:
        report = self.verify()
        assert len(report.findings) == report.total_findings
        return [line.replace(str(self.recordings), "RECORDINGS") for line in report.findings]

    def _paths(self) -> list[Path]:
        return sorted(self.recordings.iterdir())


def fields_of(document: dict[str, Any], event: str = "gameStateUpdate") -> dict[str, Any]:
    fields: dict[str, Any] = document["events"][event]["fields"]
    return fields
