"""Named steps of the commit, where a test may kill the process.

`RUGS_CRASH_AT=NAME` or `RUGS_CRASH_AT=NAME:N` sends SIGKILL to the process when it
reaches the step NAME for the Nth time; `RUGS_STOP_AT` sends SIGSTOP. Unset, a step
costs one look-up in an empty dict.
"""

from __future__ import annotations

import os
import signal
from typing import Final

STEPS: Final = (
    "file_begun",
    "file_written",
    "file_fsynced",
    "file_renamed",
    "files_ready",
    "transaction_begun",
    "rows_inserted",
    "before_commit",
    "after_commit",
    "after_announce",
    "compaction_read",
    "compaction_written",
    "compaction_before_commit",
    "compaction_after_commit",
    "migration_written",
    "migration_staged",
    "migration_epoch_taken",
    "migration_before_commit",
    "migration_after_commit",
    "change_written",
    "change_files_ready",
    "change_before_commit",
    "change_after_commit",
    "expiry_forgotten",
    "expiry_deleted",
    "given_up",
)


def _armed() -> dict[str, tuple[int, signal.Signals]]:
    armed = {}
    for variable, sent in (("RUGS_CRASH_AT", signal.SIGKILL), ("RUGS_STOP_AT", signal.SIGSTOP)):
        name, _, count = os.environ.get(variable, "").partition(":")
        if name:
            armed[name] = (int(count or 1), sent)
    return armed


_waiting = _armed()


def reached(step: str) -> None:
    """Mark that the process has come to a named step."""
    if step in _waiting:
        count, sent = _waiting.pop(step)
        if count > 1:
            _waiting[step] = (count - 1, sent)
        else:
            os.kill(os.getpid(), sent)
