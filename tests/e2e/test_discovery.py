"""`rugs discovery` and `rugs field`, as they are typed: over recordings, and over a lake without a stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rugs_cli.demo import SHIPPED
from tests.support.stackkit import Rugs

pytestmark = pytest.mark.slow

CAPTURES = SHIPPED / "raw_captures"


@pytest.fixture
def rugs(tmp_path: Path) -> Rugs:
    """A data folder without a lake."""
    return Rugs(tmp_path / "data")


@pytest.fixture
def out(rugs: Rugs, tmp_path: Path) -> Path:
    """A folder with the documents of the shipped captures."""
    rugs.json("discovery", "scan", CAPTURES, "--out", tmp_path / "documents")
    return tmp_path / "documents"


def change(path: Path, change_it: Any) -> None:
    content = json.loads(path.read_bytes())
    change_it(content)
    path.write_text(json.dumps(content))


def test_a_scan_needs_neither_a_stack_nor_a_lake(rugs: Rugs, tmp_path: Path) -> None:
    said = rugs.json("discovery", "scan", CAPTURES, "--out", tmp_path / "documents")
    assert said.keys() >= {"files", "lines", "events", "fields", "errors", "bytes", "seconds"}
    assert (said["files"], said["errors"]) == (3, 0)
    assert said["lines"] == said["events"] == 60 + 104
    made = {path.name for path in (tmp_path / "documents").iterdir()}
    assert made == {
        *("fields.json", "manifest.json", "coverage_report.md", "coverage.json", "asyncapi.json"),
        *("index.md", "quick_reference.md", "events", "schemas"),
    }
    assert not (rugs.root / "manifests").exists()


def test_what_cannot_be_read_is_named_and_the_exit_code_says_so(rugs: Rugs, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"event":"x","data":1}\n{"event":\n')
    done = rugs("discovery", "scan", tmp_path / "a.jsonl")
    assert done.returncode == 0
    assert b"a.jsonl:2: not JSON" in done.stderr
    (tmp_path / "b.md").write_text("no recording")
    done = rugs("discovery", "scan", tmp_path / "b.md")
    assert done.returncode == 1
    assert b"none of its lines is a record" in done.stderr
    assert rugs("discovery", "scan", tmp_path / "missing.jsonl").returncode == 1


def test_the_proof_holds_and_names_a_path_that_is_removed(rugs: Rugs, out: Path) -> None:
    proof = ("discovery", "verify", CAPTURES, "--documents", out)
    assert rugs.json(*proof)["total_findings"] == 0
    change(out / "fields.json", lambda said: said["events"]["gameStateUpdate"]["fields"].pop("data.price"))
    done = rugs(*proof)
    assert done.returncode == 1
    assert b"data.price" in done.stdout


def test_over_a_lake_it_is_built_proven_asked_and_compared(rugs: Rugs, out: Path, tmp_path: Path) -> None:
    assert rugs("field", "data.price").returncode == 1
    rugs.json("import", CAPTURES, "--wait")
    built = rugs.json("discovery", "build")
    assert built["rows"] > 0
    assert rugs.json("discovery", "build")["rows"] == 0
    assert rugs.json("discovery", "verify")["total_findings"] == 0

    answer = rugs.json("field", "data.price")[0]
    assert answer["path"] == "data.price"
    assert "gameStateUpdate" in json.dumps(answer)
    assert b"data.connectedPlayers" in rugs("field", "how", "many", "players", "are", "online").stdout
    assert rugs("field", "qqqqqq").returncode == 1

    assert rugs.json("discovery", "diff") == []
    assert rugs.json("discovery", "diff", "--against", out / "fields.json") == []
    change(out / "fields.json", lambda said: said["events"]["gameStateUpdate"]["fields"]["data.price"]["types"].clear())
    (found, *_) = rugs.json("discovery", "diff", "--against", out / "fields.json")
    assert (found["kind"], found["path"]) == ("type", "data.price")

    context = tmp_path / "CONTEXT.md"
    context.write_text("# Mine\n")
    rugs.json("discovery", "docs", "--context", context)
    assert context.read_text().startswith("# Mine\n")
    assert "gameStateUpdate" in context.read_text()
    once = context.read_bytes()
    assert rugs.json("discovery", "docs", "--context", context) == [{"file": str(context), "changed": False}]
    assert context.read_bytes() == once


def test_files_and_lake_say_the_same(rugs: Rugs, out: Path) -> None:
    rugs.json("import", CAPTURES, "--wait")
    rugs.json("discovery", "build")
    of_lake = json.loads((rugs.root / "discovery" / "fields.json").read_bytes())
    of_files = json.loads((out / "fields.json").read_bytes())

    def types(said: dict[str, Any]) -> dict[str, Any]:
        return {
            key: {path: field["types"] for path, field in event["fields"].items()}
            for key, event in said["events"].items()
        }

    assert types(of_lake) == types(of_files)
