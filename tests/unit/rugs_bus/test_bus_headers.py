"""Header blocks: whatever bytes they are, they are read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rugs_bus.headers import parse_headers

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1)
VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc"])).map(str.strip)


@given(st.binary())
def test_any_bytes_give_headers(block: bytes) -> None:
    assert all(isinstance(text, str) for pair in parse_headers(block).items() for text in pair)


@given(st.dictionaries(NAMES, VALUES))
def test_headers_come_back_as_they_were_written(headers: dict[str, str]) -> None:
    block = "NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    assert parse_headers(block.encode()) == headers


def test_a_status_line_becomes_status_and_description() -> None:
    block = b"NATS/1.0 409 Message Size Exceeds MaxBytes\r\nNats-Pending-Messages: 7\r\n\r\n"
    assert parse_headers(block) == {
        "Status": "409",
        "Description": "Message Size Exceeds MaxBytes",
        "Nats-Pending-Messages": "7",
    }
    assert parse_headers(b"NATS/1.0 503\r\n\r\n") == {"Status": "503", "Description": ""}
    assert parse_headers(b"") == {}
