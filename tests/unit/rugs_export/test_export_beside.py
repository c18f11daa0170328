"""What an export wrote that is no recording is named as what it is."""

from __future__ import annotations

import pytest

from rugs_legacy.exported.beside import look_at_candidate
from rugs_legacy.line_formats.request import Format
from rugs_legacy.recognise import UnknownFormatError
from tests.support.exportkit import NEW_YORK, Shelf
from tests.support.legacy_lines import end, start, tick


@pytest.mark.parametrize("format_", [Format.PARQUET, Format.ARROW])
def test_exported_rows_are_named_by_their_manifest_and_are_no_recording(shelf: Shelf, format_: Format) -> None:
    shelf.take_in(shelf.file("game_20981231_220000.jsonl", [start(), tick(1), tick(2), end()]))
    exported = shelf.export(format_, "out")
    path = exported.folder / exported.content.files[0].name
    with pytest.raises(UnknownFormatError, match=f"rows of an export .{format_}., as its manifest says"):
        look_at_candidate(path, NEW_YORK)
    with pytest.raises(UnknownFormatError, match="the manifest of an export"):
        look_at_candidate(exported.manifest, NEW_YORK)
    exported.manifest.unlink()
    with pytest.raises(UnknownFormatError, match=f"{format_.capitalize()} file: rows are for queries"):
        look_at_candidate(path, NEW_YORK)
