"""The settings as people read them: `rugs config show`."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import BeforeValidator, ByteSize, SecretStr
from pydantic.fields import FieldInfo

from rugs_core.secrets import MASK, mask_secrets
from rugs_runtime.settings.base import CommonSettings, environment_name
from rugs_runtime.settings.sections import feeds_of
from rugs_runtime.settings.values import BYTES, SECONDS, seconds, written


class SettingLine(NamedTuple):
    """One setting; secrets are masked. `is_set` tells whether the environment says it.

    `unit` is what a number counts: `s` or `bytes`; None for what is no duration and no size. `text` is the value as
    people write it: `90s`, `8GiB`.
    """

    name: str
    value: str | int | float | bool | None
    default: str | int | float | bool | None
    variable: str
    is_set: bool
    description: str
    unit: Literal["s", "bytes"] | None
    text: str


def describe(settings: CommonSettings) -> list[SettingLine]:
    """Return every setting with its value, default, variable and description."""
    return [_line(settings, name, field) for name, field in type(settings).model_fields.items()]


def _line(settings: CommonSettings, name: str, field: FieldInfo) -> SettingLine:
    value, default = _shown(name, getattr(settings, name)), _shown(name, field.default)
    unit = _unit(field)
    text = "" if value is None else str(value)
    if unit is not None and isinstance(value, int | float):
        text = written(value, SECONDS if unit == "s" else BYTES)
    described = field.description or ""
    return SettingLine(
        name, value, default, environment_name(name), name in settings.model_fields_set, described, unit, text
    )


def _unit(field: FieldInfo) -> Literal["s", "bytes"] | None:
    if isinstance(field.default, ByteSize) or field.annotation is ByteSize:
        return "bytes"
    is_duration = any(isinstance(each, BeforeValidator) and each.func is seconds for each in field.metadata)
    return "s" if is_duration else None


def _shown(name: str, value: object) -> str | int | float | bool | None:
    if isinstance(value, SecretStr) and name == "feeds":
        return ",".join(f"{feed}={mask_secrets(url)}" for feed, url in feeds_of(value))
    if isinstance(value, SecretStr):
        return mask_secrets(value.get_secret_value()) if name.endswith("_url") else MASK
    if isinstance(value, ByteSize):
        return int(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)
