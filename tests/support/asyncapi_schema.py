"""AsyncAPI's own JSON Schema, as its authors publish it: see `asyncapi/README.md`."""

from __future__ import annotations

import gzip
import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

PACKED: Final = Path(__file__).parent / "asyncapi/3.0.0.json.gz"
SHA256: Final = "d4571a420e6ffb7fcc7066c95a6db1202f299a3c51daa103d0706bf30f95e626"


@cache
def asyncapi_schema() -> dict[str, Any]:
    """Return the schema of AsyncAPI 3.0.0 documents."""
    content = gzip.decompress(PACKED.read_bytes())
    assert sha256(content).hexdigest() == SHA256, "this is not the file that asyncapi/README.md names"
    schema: dict[str, Any] = json.loads(content)
    return schema
