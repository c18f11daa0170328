"""The old formats, one module each, and the registry of those that can be read.

To add one: a module with its `FORMAT`, and its place in one of the lists. F11 and F13 are no recordings:
see `rugs_legacy.not_recordings`.
"""

from typing import Final

from rugs_legacy.formats import (
    f1_game,
    f2_session,
    f3_recorder_sink,
    f4_demonstration,
    f5_game_document,
    f6_player_actions,
    f7_session_document,
    f8_daily_documents,
    f9_raw_capture,
    f10_cdp_capture,
    f12_explorer_samples,
    f14_golden_hour,
    f15_notebook,
    f16_event_array,
)
from rugs_legacy.record import DocumentFormat, Format, LineFormat

LINE_FORMATS: Final[tuple[LineFormat, ...]] = (
    f2_session.FORMAT,  # before F1: where a file's name says F2, its ticks are F2's
    f1_game.FORMAT,
    f3_recorder_sink.FORMAT,
    f4_demonstration.FORMAT,
    f6_player_actions.FORMAT,
    f14_golden_hour.FORMAT,  # before F9: its records have F9's times beside their own
    f9_raw_capture.FORMAT,
    f10_cdp_capture.FORMAT,
    f12_explorer_samples.FORMAT,
    f15_notebook.FORMAT,
)
"""One record a line. The first that knows an object, or a name, has it."""

DOCUMENT_FORMATS: Final[tuple[DocumentFormat, ...]] = (
    f4_demonstration.METADATA,
    f5_game_document.FORMAT,
    f8_daily_documents.FORMAT,  # before F7: where a file's name says F8, its session is F8's
    f7_session_document.FORMAT,
    f16_event_array.FORMAT,
)
"""One JSON value a file."""

FORMATS: Final[tuple[Format, ...]] = (*LINE_FORMATS, *DOCUMENT_FORMATS)
