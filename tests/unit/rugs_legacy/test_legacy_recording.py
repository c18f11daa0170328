"""A file as envelopes: every line is accounted for, whatever is in the file."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_legacy import lines as lines_module
from rugs_legacy.lines import FileChangedError
from rugs_legacy.recognise import UnknownFormatError
from rugs_legacy.recording import Counts, look_at, read
from rugs_proto import Envelope, ids
from tests.support.legacy_lines import cdp_frame, end, frame, line, start, tick
from tests.support.memory import traced

NEW_YORK = "America/New_York"
BOM = b"\xef\xbb\xbf"


def write(folder: Path, content: bytes, name: str = "game_20981231_220000.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def envelopes_of(path: Path) -> tuple[Counts, list[dict[str, Any]]]:
    """Read a file whole; each envelope is checked against the contract, each line accounted for."""
    counts = Counts()
    recording = look_at(path, NEW_YORK)
    envelopes = list(read(recording, counts))
    content = path.read_bytes()
    for envelope in envelopes:
        Envelope.model_validate(envelope)
        origin, raw = envelope["origin"], envelope["raw"]
        raw = raw.encode() if isinstance(raw, str) else raw
        assert content[origin["offset"] :].startswith(raw)
        assert envelope["seq"] == origin["offset"] + 1
        assert content[: origin["offset"]].count(b"\n") == origin["line"] - 1
        assert (origin["sha256"], origin["file"]) == (recording.sha256, path.name)
    assert counts.lines == content.count(b"\n") + (not content.endswith(b"\n") and content != b"")
    assert counts.lines == counts.records + counts.rejected + counts.blank
    later_pieces = sum("piece" in one["fields"].get("reason", "") for one in envelopes) or 1
    assert len(envelopes) == counts.records + counts.rejected + counts.salvaged + later_pieces - 1
    assert len({Envelope.model_validate(envelope).computed_id() for envelope in envelopes}) == len(envelopes)
    return counts, envelopes


def test_a_game(tmp_path: Path) -> None:
    content = [start(), tick(0), tick(1), end()]
    counts, envelopes = envelopes_of(write(tmp_path, b"\n".join(content) + b"\n"))
    assert counts == Counts(lines=4, records=4)
    assert [envelope["raw"].encode() for envelope in envelopes] == content
    assert [envelope["doc_type"] for envelope in envelopes] == [
        "system_event",
        "game_tick",
        "game_tick",
        "system_event",
    ]
    assert {envelope["source"] for envelope in envelopes} == {"import"}
    assert {envelope["session_id"] for envelope in envelopes} == {ids.import_session_id("F1", start())}
    assert {envelope["origin"]["tz"] for envelope in envelopes} == {NEW_YORK}


def test_a_damaged_line_is_kept_and_what_is_whole_in_it_is_read(tmp_path: Path) -> None:
    damaged = tick(1)[:-1] + b'{"' + tick(2)
    counts, envelopes = envelopes_of(write(tmp_path, tick(0) + b"\n" + damaged + b"\n" + tick(3)))
    assert counts == Counts(lines=3, records=2, rejected=1, salvaged=1)
    reject, salvaged = envelopes[1:3]
    assert (reject["doc_type"], reject["event"], reject["raw"].encode()) == ("reject", "line", damaged)
    assert reject["fields"]["format"] == "F1"
    assert reject["fields"]["reason"].startswith("not JSON")
    assert (salvaged["doc_type"], salvaged["raw"].encode()) == ("game_tick", tick(2))
    assert salvaged["fields"]["salvaged"] is True
    assert salvaged["origin"]["line"] == 2
    assert "salvaged" not in envelopes[3]["fields"]


@pytest.mark.parametrize(
    ("content", "counted"),
    [
        (b"\n\n" + tick() + b"\n \t\n\r\n", Counts(lines=5, records=1, blank=4)),
        (tick(), Counts(lines=1, records=1)),
        (tick(1) + b"\r\n" + tick(2) + b"\r\n", Counts(lines=2, records=2)),
        (BOM + tick(1) + b"\n" + tick(2), Counts(lines=2, records=2)),
        (BOM + b"\n" + tick(2), Counts(lines=2, records=1, blank=1)),
        (tick(1) + b"\n" + BOM + tick(2), Counts(lines=2, records=1, rejected=1, salvaged=1)),
        (tick(1) + b"\n\x0c\n", Counts(lines=2, records=1, rejected=1)),
        (tick(1) + b"\n## a note\n", Counts(lines=2, records=1, rejected=1)),
        (tick(1) + b"\n\x00\x00\n\x00" + tick(2), Counts(lines=3, records=1, rejected=2, salvaged=1)),
        (tick(1) + b"\n\xff\xfe" + tick(2) + b"\n", Counts(lines=2, records=1, rejected=1, salvaged=1)),
        (tick(1) + b'\n[1]\n7\n"x"\nnull\n{}\n', Counts(lines=6, records=1, rejected=5)),
        (tick(1) + b"\n" + tick(2, price=float("nan")), Counts(lines=2, records=2)),
        (tick(1) + b"\n" + tick(2, timestamp="0001-01-01T00:00:00"), Counts(lines=2, records=1, rejected=1)),
        (tick(1) + b"\n" + tick(2, timestamp="9999-12-31T23:59:59"), Counts(lines=2, records=1, rejected=1)),
        (tick(1) + b"\n" + tick(2)[:-9], Counts(lines=2, records=1, rejected=1)),
        (tick(1)[5:] + b"\n" + tick(2), Counts(lines=2, records=1, rejected=1)),
        (tick(1)[:-1] + tick(2) + b"\n", Counts(lines=1, rejected=1, salvaged=1)),
        (tick(1) + b"\n" + b"x" * 300_000 + tick(2), Counts(lines=2, records=1, rejected=1, salvaged=1)),
    ],
)
def test_every_line_is_accounted_for(tmp_path: Path, content: bytes, counted: Counts) -> None:
    assert envelopes_of(write(tmp_path, content))[0] == counted


def test_a_carriage_return_belongs_to_the_bytes(tmp_path: Path) -> None:
    assert envelopes_of(write(tmp_path, tick() + b"\r\n"))[1][0]["raw"].encode() == tick() + b"\r"


def test_bytes_that_are_not_utf8_stay_bytes(tmp_path: Path) -> None:
    reject = envelopes_of(write(tmp_path, tick() + b"\n\xff\n"))[1][1]
    assert (reject["raw"], reject["fields"]["reason"]) == (b"\xff", "not UTF-8 at byte 0")


def test_a_doubtful_local_time_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, tick(timestamp="2025-11-02T01:30:00.000001") + b"\n" + tick())
    assert [envelope["origin"]["tz"] for envelope in envelopes_of(path)[1]] == ["America/New_York;fold=0", NEW_YORK]


def test_a_file_that_has_grown_keeps_what_it_had(tmp_path: Path) -> None:
    before = envelopes_of(write(tmp_path, b"## note\n" + tick(1) + b"\n" + tick(2) + b"\n"))[1]
    after = envelopes_of(write(tmp_path, b"## note\n" + tick(1) + b"\n" + tick(2) + b"\n" + tick(3)))[1]
    made = [[Envelope.model_validate(one).computed_id() for one in some] for some in (before, after)]
    assert made[0] == made[1][:3]


def test_what_is_added_while_it_is_read_is_for_the_next_import(tmp_path: Path) -> None:
    path = write(tmp_path, tick(1) + b"\n")
    recording = look_at(path, NEW_YORK)
    write(tmp_path, tick(1) + b"\n" + tick(2) + b"\n")
    counts = Counts()
    assert len(list(read(recording, counts))) == counts.lines == 1


@pytest.mark.parametrize("content", [tick(1) + b"\n" + tick(3), tick(1)])
def test_a_file_that_is_changed_while_it_is_read_is_told(tmp_path: Path, content: bytes) -> None:
    recording = look_at(write(tmp_path, tick(1) + b"\n" + tick(2)), NEW_YORK)
    write(tmp_path, content)
    with pytest.raises(FileChangedError):
        list(read(recording, Counts()))


def test_a_line_too_long_to_be_held_is_kept_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "CHUNK", 1000)
    monkeypatch.setattr(lines_module, "MAX_LINE", 6000)
    monkeypatch.setattr(lines_module, "PIECE", 2500)
    for extra in (0, 1, 999, 1000, 2500):
        long = os.urandom(20_000 + extra).replace(b"\n", b" ")
        counts, envelopes = envelopes_of(write(tmp_path, tick(1) + b"\n" + long + b"\n" + tick(2)))
        assert counts == Counts(lines=3, records=2, rejected=1)
        pieces = [one for one in envelopes if one["doc_type"] == "reject"]
        assert b"".join(one["raw"] for one in pieces) == long
        assert {one["origin"]["line"] for one in pieces} == {2}
        assert all("piece" in one["fields"]["reason"] for one in pieces)


@given(
    st.lists(st.binary(max_size=30) | st.sampled_from([b"", b"\n", tick(1), tick(2)]), max_size=8),
    st.integers(1, 40),
    st.integers(1, 300),
)
def test_lines_are_the_files_lines_whatever_the_chunks(parts: list[bytes], chunk: int, longest: int) -> None:
    """The reader against `split`, with chunks and longest lines of any size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "CHUNK", chunk)
        patch.setattr(lines_module, "MAX_LINE", longest)
        patch.setattr(lines_module, "PIECE", max(1, longest // 3))
        content = b"\n".join(parts)
        blocks = list(lines_module.read_blocks(io.BytesIO(content), len(content)))
    read_lines: dict[int, bytes] = {}
    for block in blocks:
        offset = block.offset
        for number, text in enumerate(block.lines, block.number):
            assert content[offset:].startswith(text)
            assert (number in read_lines) == (block.piece > 1)
            read_lines[number] = read_lines.get(number, b"") + text
            offset += len(text) + 1
    whole = content.split(b"\n")
    if not whole[-1]:
        whole.pop()
    assert list(read_lines.values()) == whole
    assert list(read_lines) == list(range(1, len(whole) + 1))


def test_a_long_file_is_read_in_flat_memory(tmp_path: Path) -> None:
    path = write(tmp_path, (tick(1) + b"\n") * 40_000)
    recording = look_at(path, NEW_YORK)
    counts = Counts()
    with traced() as memory:
        for _ in read(recording, counts):
            pass
    assert counts.records == 40_000
    assert path.stat().st_size > 8_000_000
    assert memory.peak < 6_000_000


@pytest.mark.parametrize(
    ("content", "name", "format_id"),
    [
        (start(), "game_20981231_220000.jsonl", "F1"),
        (tick(), "whatever", "F1"),
        (tick(), "session_20981231_220000.jsonl", "F2"),
        (line({"type": "session_start", "timestamp": "2098-12-31T22:00:00", "session_id": "s"}), "x", "F2"),
        (b"## note\n\n" + start(), "x", "F1"),
        (tick()[:-1] + b'{"' + tick(), "x", "F1"),
        (frame(), "x_cdp.jsonl", "F9"),
        (cdp_frame(), "x_raw.jsonl", "F10"),
        (BOM + frame(), "x", "F9"),
        (b"", "game_20981231_220000_89abcdef.jsonl", "F1"),
        (b"", "session_20981231_220000.jsonl", "F2"),
        (b"\n\n", "2098-12-31_22-00-00_raw.jsonl", "F9"),
        (b"", "2098-12-31_22-00-00_cdp.jsonl", "F10"),
        (frame()[:20], "2098-12-31_22-00-00_raw.jsonl", "F9"),
        (b"\x00" * 50, "game_20981231_220000.jsonl", "F1"),
        (tick(timestamp="0001-01-01T00:00:00"), "x", "F1"),
    ],
)
def test_a_format_is_known_by_content_and_then_by_name(
    tmp_path: Path, content: bytes, name: str, format_id: str
) -> None:
    assert look_at(write(tmp_path, content, name), NEW_YORK).format.id == format_id


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (line({"event_types": {}, "total_events": 0}), "x.json", "F11"),
        (b'{\n  "event_types": {},\n  "total_events": 0\n}\n', "2098-12-31_22-00-00_cdp_events.json", "F11"),
        (b"# Summary\n", "2098-12-31_22-00-00_summary.md", "F11"),
        (line({"capture_mode": "game_state_only", "game_count": 1}), "recording_config.json", "F13"),
        (line({"balance": "0.1"}), "session_state.json", "F13"),
        (b"2098-12-31 INFO started\n", "app.log", "F13"),
        (line({"fields": {}}), "field_analysis.json", "F12's analysis"),
        (line({"meta": {}, "prices": []}), "x.game.json", "'meta', 'prices'"),
        (b'{\n  "meta": {}\n}', "x.game.json", "'meta'"),
        (b"[1, 2]", "samples.json", "a JSON array"),
        (
            b'[{"gameId": "g", "rugpool": {}}]',
            "samples.json",
            "JSON array of objects with the keys 'gameId', 'rugpool'",
        ),
        (b'[{"gameId": "g", ', "samples.json", "a JSON array, and damaged"),
        (b"[]", "x_samples.json", "a JSON array"),
        (b"# Summary\n", "README.md", "no JSON lines"),
        (line({"foo": 1}) + b"\n" + line({"foo": 2}), "x.jsonl", "'foo'"),
        (b"", "notes.txt", "empty"),
        (line({"foo": 1}), "game_20981231_220000.jsonl", "'foo'"),
        (b"\x89PNG\r\n\x1a\n\x00", "x.png", "a picture"),
    ],
)
def test_what_is_no_recording_is_named_with_its_reason(tmp_path: Path, content: bytes, name: str, reason: str) -> None:
    with pytest.raises(UnknownFormatError, match=reason):
        look_at(write(tmp_path, content, name), NEW_YORK)


def archive(kind: str) -> bytes:
    """Return an archive with a whole recording in it, not compressed."""
    content, packed = (tick(1) + b"\n") * 40, io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("game_20981231_220000.jsonl", content)
    else:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            info = tarfile.TarInfo("game_20981231_220000.jsonl")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PAR1" + tick(1) * 3, "a Parquet file"),
        (b"ARROW1\0\0" + tick(1) + b"\n" + tick(2), "an Arrow file"),
        (b"SQLite format 3\0" + tick(1) + b"\n" + tick(2), "an SQLite file"),
        (archive("zip"), "a zip archive"),
        (archive("tar"), "a tar archive"),
        (gzip.compress(archive("tar")), "a tar archive"),
    ],
)
@pytest.mark.parametrize("name", ["game_20981231_220000.jsonl", "x"])
def test_a_binary_file_is_no_recording_though_records_stand_in_it(
    tmp_path: Path, content: bytes, kind: str, name: str
) -> None:
    with pytest.raises(UnknownFormatError, match=f"^{kind}"):
        look_at(write(tmp_path, content, name), NEW_YORK)


NOTES = b"# How it looks\n\nA tick:\n```json\n" + tick(1) + b"\n```\nand F9: `" + frame() + b"`.\n"
LOG = b"".join(b"12:00:00 DEBUG wrote " + tick(number) + b"\n" for number in range(20))


@pytest.mark.parametrize("content", [NOTES, b"[A link](#x), and\n" + NOTES, LOG, b"\x80\x05" + LOG])
def test_what_cites_records_is_no_recording_unless_its_name_says_so(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UnknownFormatError, match=r"no recording: \d+ of its first \d+ lines look like F1"):
        look_at(write(tmp_path, content, "notes.md"), NEW_YORK)
    assert envelopes_of(write(tmp_path, content, "game_20981231_220000.jsonl"))[0].rejected > 0


@pytest.mark.parametrize("name", ["game_20981231_220000.jsonl", "renamed.jsonl"])
def test_what_a_crash_left_of_a_recording_is_read_to_its_last_byte(tmp_path: Path, name: str) -> None:
    lines = [start(), tick(1), tick(2), b"\0" * 4096 + tick(3), b"\0" * 9000]
    counts, envelopes = envelopes_of(write(tmp_path, b"\n".join(lines), name))
    assert counts == Counts(lines=5, records=3, rejected=2, salvaged=1)
    rejects = [one["raw"].encode() for one in envelopes if one["doc_type"] == "reject"]
    assert rejects == lines[3:]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert envelopes_of(write(tmp_path, b"")) == (Counts(), [])
