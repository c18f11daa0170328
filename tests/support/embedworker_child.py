"""Run by `tests.support.embedworker`: embeds what each line of its standard input asks for."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from rugs_index.embedders import Embedder, EmbeddingError, choose

LIBRARIES = ("openvino", "sentence-transformers", "transformers", "tokenizers", "torch", "numpy")


def main(setting: str, threads: str) -> None:
    """Say what the embedder is, and then answer line by line."""
    embedder = choose(setting, threads=int(threads) if threads else None)
    assert embedder is not None
    embedder.embed_query("ready")
    seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - _process_began()
    _say({"identity": embedder.identity.as_json(), "versions": _versions(), "seconds": seconds})
    for line in sys.stdin:
        asked = json.loads(line)
        _say({"error": _error(asked["choose"])} if "choose" in asked else _embedded(embedder, **asked))


def _embedded(embedder: Embedder, texts: list[str], as_queries: bool) -> dict[str, Any]:
    vectors, seconds = [], []
    for some in [[text] for text in texts] if as_queries else [texts]:
        began = time.perf_counter()
        vectors.append(embedder.embed_query(some[0]) if as_queries else embedder.embed(some))
        seconds.append(time.perf_counter() - began)
    content = b"".join(each.astype("<f4").tobytes() for each in vectors)
    return {"vectors": base64.b64encode(content).decode(), "seconds": seconds}


def _error(setting: str) -> str | None:
    try:
        choose(setting)
    except EmbeddingError as error:
        return str(error)
    return None


def _process_began() -> float:
    """Return when this process was started, in seconds since the machine was."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _say(told: object) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
