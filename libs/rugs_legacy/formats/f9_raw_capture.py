"""F9: what a Socket.IO client of the recorder's own received, all arguments kept.

Times are local and without a zone.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from rugs_legacy.formats import captures
from rugs_legacy.record import LineFormat


def _sniff(content: dict[str, Any], _name_fits: bool) -> bool:
    return {"seq", "ts", "event", "data"} <= content.keys() and not {"source", "direction"} & content.keys()


FORMAT = LineFormat(
    id="F9",
    version=4,
    title="raw capture",
    names=re.compile(r".+_raw\.jsonl"),
    record_start=captures.RECORD_START,
    sniff=_sniff,
    reader=partial(captures.reader, from_cdp=False),
)
