"""Logs: JSON lines for machines, coloured lines on a terminal, always to standard error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from rugs_core.secrets import mask_secrets
from rugs_runtime import log_files


def configure(service: str, level: str = "info") -> None:
    """Send the logs of this process, those of libraries among them, to standard error.

    Every line carries `service`. `level` is the least one that is written.
    """
    on_terminal = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if on_terminal else "iso", utc=not on_terminal),
        structlog.processors.format_exc_info,
        _mask,
    ]
    rendering: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if on_terminal
        else [structlog.processors.JSONRenderer(default=str, ensure_ascii=False)]
    )

    handler = _Rotating() if log_files.LOG_FILE in os.environ else logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, lambda _, __, line: {"service": service, **line}],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)


class _Rotating(logging.StreamHandler[Any]):
    """Writes to standard error, and rotates the file that it goes to."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._path = Path(os.environ[log_files.LOG_FILE])

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        with suppress(OSError):  # a full disk: the output goes on to the old file
            log_files.rotate_output(self._path, log_files.LOG_LIMIT)


def _mask(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out of the line, whoever logs it, and out of its traceback."""
    return {key: value if key.startswith("_") else _masked(value) for key, value in line.items()}


def _masked(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {key: _masked(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(each) for each in value]
    return mask_secrets(str(value))
