"""A message's header block, read without ever failing: publishers are not to be trusted."""

from __future__ import annotations


def parse_headers(block: bytes) -> dict[str, str]:
    """Return the headers of a block such as ``NATS/1.0 503 No Responders\\r\\nName: value\\r\\n\\r\\n``.

    A status in the first line appears as `Status` and `Description`. Bytes that are
    not UTF-8 become U+FFFD, lines without a colon are skipped, and of equal names
    the last one stands.
    """
    first, *lines = block.decode("utf-8", "replace").split("\r\n")
    headers = {}
    _, _, inline = first.partition(" ")
    if inline:
        headers["Status"], _, headers["Description"] = inline.strip().partition(" ")
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip()] = value.strip()
    return headers
