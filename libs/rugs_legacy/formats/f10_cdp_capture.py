"""F10: what passed through a browser's socket, both directions, first argument only.

Times are aware; where the browser gave none, the recorder wrote a local one without a zone.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from rugs_legacy.formats import captures
from rugs_legacy.record import LineFormat


def _sniff(content: dict[str, Any], _name_fits: bool) -> bool:
    return {"seq", "ts", "event", "data", "source", "direction"} <= content.keys()


FORMAT = LineFormat(
    id="F10",
    version=4,
    title="CDP capture",
    names=re.compile(r".+_cdp\.jsonl"),
    record_start=captures.RECORD_START,
    sniff=_sniff,
    reader=partial(captures.reader, from_cdp=True),
)
