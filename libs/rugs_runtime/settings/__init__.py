"""Settings of every process: each has an environment variable, a default and a description.

Sizes are bytes, or text such as ``8GiB``; durations are seconds, or text such as
``90s``, ``30m``, ``12h``, ``7d``.
"""

from rugs_runtime.settings.base import CommonSettings, SettingsError, environment_name
from rugs_runtime.settings.described import SettingLine, describe
from rugs_runtime.settings.sections import (
    CaptureSettings,
    DualWriteSettings,
    IndexerSettings,
    Settings,
    WriterSettings,
)
from rugs_runtime.settings.values import Seconds

__all__ = [
    "CaptureSettings",
    "CommonSettings",
    "DualWriteSettings",
    "IndexerSettings",
    "Seconds",
    "SettingLine",
    "Settings",
    "SettingsError",
    "WriterSettings",
    "describe",
    "environment_name",
]
