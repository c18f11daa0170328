"""The sum of the crash matrix, at the end of the run."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.crashkit import MATRICES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many faults were injected in all, and what became of the events."""
    total: Counter[str] = sum((matrix.total for matrix in MATRICES), Counter())
    if not total:
        return
    terminalreporter.section("crash matrix")
    for matrix in MATRICES:
        terminalreporter.write_line(f"{matrix.total['faults']:>5} faults  {matrix.title}")
    terminalreporter.write_line(
        f"{total['faults']:>5} faults in all: lost {total['lost']}, doubled {total['doubled']}, torn {total['torn']}"
    )
