"""Packed files: the content counts, whatever it is packed with, in flat memory, and bombs do not go off."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import struct
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rugs_legacy import recording as recording_module
from rugs_legacy.packed import PackedError, Transcoded, Unpacked
from rugs_legacy.recognise import UnknownFormatError, UnreadableFileError
from rugs_legacy.recording import Counts, look_at, read
from tests.support.legacy_files import NEW_YORK, ids_of, read_file, write
from tests.support.legacy_lines import end, frame, start, tick
from tests.support.memory import traced

Pack = Callable[[bytes], bytes]


def skippable(content: bytes = b"index", kind: int = 0) -> bytes:
    """One of zstd's skippable frames: pzstd begins each frame with one, seekable files end with one."""
    return struct.pack("<II", 0x184D2A50 + kind, len(content)) + content


PACKS: dict[str, Pack] = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor(write_checksum=True).compress}
SUFFIX = {"gzip": ".gz", "zstd": ".zst"}
METHODS = pytest.mark.parametrize("method", PACKS)
GAME_FILE = "game_20981231_220000.jsonl"
CONTENT = b"\n".join([start(), tick(1), b"", b"## note", tick(2)[:-1] + b'{"' + tick(3), end()]) + b"\n"


def unpacked(packed: bytes, method: str, size: int = 1 << 16) -> bytes:
    stream = Unpacked(io.BytesIO(packed), method)
    content = b"".join(iter(lambda: stream.read(size), b""))
    assert not stream.is_cut
    assert (stream.fault, stream.behind) == (None, 0)
    return content


@METHODS
def test_a_packed_copy_is_the_same_recording(tmp_path: Path, method: str) -> None:
    plain = read_file(write(tmp_path, GAME_FILE, CONTENT))
    packed = PACKS[method](CONTENT)
    for name in (GAME_FILE + SUFFIX[method], "whatever"):
        again = read_file(write(tmp_path, name, packed))
        assert again[1] == plain[1]
        assert ids_of(again[2]) == ids_of(plain[2])
        assert (again[0].sha256, again[0].size, again[0].session_id) == (
            plain[0].sha256,
            plain[0].size,
            plain[0].session_id,
        )
        assert again[0].packed_sha256 == sha256(packed).hexdigest()
        assert {one["origin"]["packed"] for one in again[2]} == {again[0].packed_sha256}
    assert plain[0].packed_sha256 is None


@METHODS
def test_the_name_without_its_suffix_counts(tmp_path: Path, method: str) -> None:
    for name, format_id in (("x_raw.jsonl", "F9"), ("x_player.jsonl", "F6"), ("x_demo.json", "F7")):
        assert look_at(write(tmp_path, name + SUFFIX[method], PACKS[method](b"")), NEW_YORK).format.id == format_id


@METHODS
def test_a_packed_document_is_kept_as_what_is_in_it(tmp_path: Path, method: str) -> None:
    content = b"[" + frame(1) + b"]"
    envelopes = read_file(write(tmp_path, "x_samples.json" + SUFFIX[method], PACKS[method](content)))[2]
    assert envelopes[0]["raw"].encode() == content


@METHODS
def test_a_packed_file_that_is_cut_is_read_up_to_there(tmp_path: Path, method: str) -> None:
    """And the whole one, when it comes, adds what is new."""
    lines = [start(), *(tick(number, price=1 + number / 7) for number in range(3000))]
    whole = PACKS[method](b"\n".join(lines))
    cut, counts, envelopes = read_file(write(tmp_path, GAME_FILE + SUFFIX[method], whole[: len(whole) * 2 // 3]))
    assert cut.is_cut
    assert 1000 < counts.records < 2900
    recording, _, everything = read_file(write(tmp_path, GAME_FILE + SUFFIX[method], whole))
    assert not recording.is_cut
    events = [one for one in envelopes if one["doc_type"] != "reject"]
    assert ids_of(events) == ids_of(everything[: len(events)])


LINES = [start(), *(tick(number, price=1 + number / 7) for number in range(3000))]


@METHODS
@pytest.mark.parametrize("name", [GAME_FILE, "whatever"])
def test_what_fails_its_check_is_read_and_said_to_be_so(tmp_path: Path, method: str, name: str) -> None:
    whole = PACKS[method](b"\n".join(LINES))
    check = len(whole) - (8 if method == "gzip" else 4)
    damaged = whole[:check] + bytes((whole[check] ^ 1,)) + whole[check + 1 :]
    recording, counts, envelopes = read_file(write(tmp_path, name, damaged))
    assert recording.fault is not None
    assert recording.fault.startswith(f"not whole {method}: ")
    assert counts == Counts(lines=len(LINES), records=len(LINES))
    assert [one["raw"].encode() for one in envelopes] == LINES


@METHODS
def test_what_is_damaged_inside_is_read_as_far_as_it_goes(tmp_path: Path, method: str) -> None:
    """Until the damage it is what it was; what is unpacked behind may be anything, and says so."""
    whole = PACKS[method](b"\n".join(LINES))
    half = len(whole) // 2
    recording, counts, envelopes = read_file(write(tmp_path, GAME_FILE, whole[:half] + b"\xff" * 500 + whole[half:]))
    assert recording.fault is not None
    assert counts.records > 1000
    assert [one["raw"].encode() for one in envelopes[:1000]] == LINES[:1000]
    assert {one["origin"]["fault"] for one in envelopes} == {recording.fault}


@METHODS
def test_what_stands_behind_is_kept(tmp_path: Path, method: str) -> None:
    """Lines of it are lines; what is none is a reject. Zeros are nothing but padding."""
    packed = PACKS[method](b"\n".join([start(), tick(1), b""]))
    for between in (b"", b"\0" * 3000):
        recording, counts, envelopes = read_file(write(tmp_path, GAME_FILE, packed + between + b"junk\n" + tick(2)))
        assert (recording.behind, recording.fault) == (5 + len(tick(2)), None)
        assert counts == Counts(lines=4, records=3, rejected=1)
        assert [one["raw"].encode() for one in envelopes] == [start(), tick(1), b"junk", tick(2)]
    long = os.urandom(100_000).replace(b"\n", b"")
    _, counts, envelopes = read_file(write(tmp_path, GAME_FILE, packed + b"x" + long))
    assert (counts.records, counts.rejected, envelopes[-1]["raw"]) == (2, 1, b"x" + long)


@METHODS
def test_what_stands_behind_a_document_does_not_make_it_unreadable(tmp_path: Path, method: str) -> None:
    content = b"[" + frame(1) + b"]"
    plain = read_file(write(tmp_path, "x_samples.json", content))
    recording, _, envelopes = read_file(write(tmp_path, "x_samples.json", PACKS[method](content) + b"junk"))
    assert (recording.behind, recording.size, recording.sha256) == (4, len(content), plain[0].sha256)
    assert ids_of(envelopes) == ids_of(plain[2])


@METHODS
def test_a_file_of_which_nothing_can_be_unpacked_is_an_error(tmp_path: Path, method: str) -> None:
    whole = PACKS[method](CONTENT)
    with pytest.raises(PackedError, match=f"not whole {method}"):
        look_at(write(tmp_path, GAME_FILE + SUFFIX[method], whole[:4] + b"\xff" * 100), NEW_YORK)


@given(
    st.lists(st.binary(max_size=3000) | st.integers(0, 200_000).map(lambda size: b"a" * size), max_size=4),
    st.sampled_from(sorted(PACKS)),
    st.integers(1, 70_000),
    st.integers(0, 2000),
)
def test_what_was_packed_comes_out_again(parts: list[bytes], method: str, size: int, zeros: int) -> None:
    """Files may be packed in parts, one behind the other, with zeros behind the last."""
    packed = b"".join(map(PACKS[method], parts))
    if packed:
        assert unpacked(packed + b"\0" * zeros, method, size) == b"".join(parts)


@given(
    st.lists(
        st.binary(max_size=2000).map(PACKS["zstd"])
        | st.tuples(st.binary(max_size=3000), st.integers(0, 15)).map(lambda given: skippable(*given)),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 70_000),
)
def test_skippable_frames_are_skipped_wherever_they_stand(frames: list[bytes], size: int) -> None:
    content = b"".join(zstandard.decompress(frame) for frame in frames if frame[1:4] != b"\x2a\x4d\x18")
    assert unpacked(b"".join(frames), "zstd", size) == content


def test_files_of_parallel_and_seekable_zstd_are_the_same_recording(tmp_path: Path) -> None:
    plain = read_file(write(tmp_path, GAME_FILE, CONTENT))
    packed = PACKS["zstd"](CONTENT[:200]), PACKS["zstd"](CONTENT[200:])
    parallel = b"".join(skippable(struct.pack("<I", len(part))) + part for part in packed)
    seekable = b"".join(packed) + skippable(os.urandom(2000), kind=14)
    for number, whole in enumerate((parallel, seekable)):
        again = read_file(write(tmp_path, f"{number}/{GAME_FILE}.zst", whole))
        assert (again[0].sha256, again[0].is_cut, again[0].behind, again[1]) == (plain[0].sha256, False, 0, plain[1])
    assert look_at(write(tmp_path, f"{GAME_FILE}.zst", seekable[:-1]), NEW_YORK).is_cut


ENCODINGS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
ENCODED = pytest.mark.parametrize("encoding", ENCODINGS)


def in_utf16(content: bytes, encoding: str) -> bytes:
    return ENCODINGS[encoding] + content.decode().encode(encoding)


@ENCODED
@pytest.mark.parametrize("pack", [bytes, *PACKS.values()], ids=["plain", *PACKS])
def test_utf16_with_a_byte_order_mark_is_the_same_recording(tmp_path: Path, encoding: str, pack: Pack) -> None:
    """As PowerShell writes what is redirected into a file."""
    lines = CONTENT + tick(7, note="\U0001f680 \u00e9").replace(b"\\ud83d\\ude80", "\U0001f680".encode()) + b"\n"
    documents = {GAME_FILE: lines, "x_samples.json": b"[" + frame(1) + b"]"}
    for name, content in documents.items():
        plain = read_file(write(tmp_path, name, content))
        again = read_file(write(tmp_path, f"other/{name}", pack(in_utf16(content, encoding))))
        assert (again[0].sha256, again[0].session_id, again[1]) == (plain[0].sha256, plain[0].session_id, plain[1])
        assert ids_of(again[2]) == ids_of(plain[2])
        assert again[0].packed_sha256 is not None
        assert (again[0].is_cut, again[0].fault) == (False, None)


@ENCODED
def test_utf16_that_ends_in_the_midst_of_a_character_is_cut(tmp_path: Path, encoding: str) -> None:
    plain = read_file(write(tmp_path, GAME_FILE, CONTENT))
    recording, counts, _ = read_file(write(tmp_path, GAME_FILE, in_utf16(CONTENT, encoding)[:-1]))
    assert (recording.is_cut, counts) == (True, plain[1])


@ENCODED
def test_half_a_surrogate_pair_in_utf16_is_a_rejected_line(tmp_path: Path, encoding: str) -> None:
    half = b"\x3d\xd8" if encoding == "utf-16-le" else b"\xd8\x3d"
    content = in_utf16(tick(1) + b"\n", encoding) + half + (tick(2) + b"\n").decode().encode(encoding)
    _, counts, envelopes = read_file(write(tmp_path, GAME_FILE, content))
    assert (counts.records, counts.rejected, counts.salvaged) == (1, 1, 1)
    assert envelopes[1]["raw"] == b"\xed\xa0\xbd" + tick(2)


@given(st.text(max_size=2000), st.sampled_from(sorted(ENCODINGS)), st.integers(1, 3000))
def test_text_in_utf16_comes_out_as_utf8(text: str, encoding: str, size: int) -> None:
    stream = Transcoded(io.BytesIO(ENCODINGS[encoding] + text.encode(encoding)), encoding)
    assert b"".join(iter(lambda: stream.read(size), b"")) == text.encode()
    assert not stream.is_cut


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzip.compress(gzip.compress(CONTENT)), "gzip packed once more"),
        (PACKS["zstd"](gzip.compress(CONTENT)), "gzip packed once more"),
        (gzip.compress(PACKS["zstd"](CONTENT)), "zstd packed once more"),
        (CONTENT.decode().encode("utf-16-le"), "UTF-16 .little endian. without a byte order mark"),
        (CONTENT.decode().encode("utf-16-be"), "UTF-16 .big endian. without a byte order mark"),
        (CONTENT.decode().encode("utf-32"), "text in UTF-32"),
        (CONTENT.decode().encode("utf-32-le"), "UTF-32 .little endian. without a byte order mark"),
        (gzip.compress(codecs.BOM_UTF32_BE + CONTENT.decode().encode("utf-32-be")), "text in UTF-32"),
        (b"PK\x03\x04" + bytes(50), "a zip archive"),
    ],
)
def test_what_cannot_be_read_as_it_is_is_named_for_what_it_is(tmp_path: Path, content: bytes, kind: str) -> None:
    """Under a recorder's name that is a failure; under any other, the file is left alone."""
    with pytest.raises(UnreadableFileError, match=kind):
        look_at(write(tmp_path, GAME_FILE, content), NEW_YORK)
    with pytest.raises(UnknownFormatError, match=kind) as caught:
        look_at(write(tmp_path, "whatever", content), NEW_YORK)
    assert not isinstance(caught.value, UnreadableFileError)


@METHODS
def test_a_bomb_does_not_go_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """What unpacks to far more than its own size is named and left alone; nothing of it is held."""
    monkeypatch.setattr(recording_module, "_ANY_TIMES", 50_000_000)
    monkeypatch.setattr(recording_module, "_MOST_TIMES", 100)
    path = write(tmp_path, GAME_FILE + SUFFIX[method], PACKS[method](b"0" * 120_000_000))
    with traced() as memory, pytest.raises(UnknownFormatError, match="unpacks to more than 100 times its size"):
        look_at(path, NEW_YORK)
    assert memory.peak < 40_000_000


@METHODS
def test_a_long_packed_file_is_read_in_flat_memory(tmp_path: Path, method: str) -> None:
    path = write(tmp_path, GAME_FILE + SUFFIX[method], PACKS[method]((tick(1) + b"\n") * 40_000))
    counts, recording = Counts(), look_at(path, NEW_YORK)
    with traced() as memory:
        for _ in read(recording, counts):
            pass
    assert counts.records == 40_000
    assert memory.peak < 30_000_000


def test_random_bytes_are_no_packed_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match="no known format"):
        look_at(write(tmp_path, "x", b"\x1f\x8a" + os.urandom(100)), NEW_YORK)
