"""The old formats, one module each, and the registry that names those that can be read."""

from rugs_legacy.formats import f1_game, f2_session, f9_raw_capture, f10_cdp_capture

# F2 stands before F1: where a file's name says F2, its ticks are claimed by F2.
FORMATS = (f2_session.FORMAT, f1_game.FORMAT, f9_raw_capture.FORMAT, f10_cdp_capture.FORMAT)
