"""Settings of every process: each has an environment variable, a default and a description.

Sizes are bytes, or text such as ``8GiB``; durations are seconds, or text such as
``90s``, ``30m``, ``12h``, ``7d``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AliasChoices,
    BeforeValidator,
    ByteSize,
    Field,
    NonNegativeInt,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from rugs_proto.rules import Source
from rugs_proto.subjects import MAX_BLOB

PREFIX: Final = "RUGS_"
_OTHER_NAMES: Final = {
    "nats_url": "NATS_URL",
    "legacy_recorders_enabled": "REPLAYER_LEGACY_RECORDERS_ENABLED",
}
"""Variables without that beginning."""
LOOPBACK: Final = "127.0.0.1"

_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*")


class SettingsError(Exception):
    """A setting cannot be used: one line that names it, and says why."""


def _seconds(value: object) -> object:
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            raise ValueError("not a duration: write seconds, or a number with s, m, h or d")
        return float(match[1]) * _SECONDS[match[2]]
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Size = Annotated[ByteSize, Field(gt=0)]


Port = Annotated[NonNegativeInt, Field(le=65535)]

SOURCES: Final = ("public", "cdp", "http", "bus")


class Settings(BaseSettings):
    """What can be set. Durations are in seconds, sizes in bytes.

    Use `Settings.load()`: it says in one line what is wrong.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", populate_by_name=True, env_ignore_empty=True
    )

    nats_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("NATS_URL", "nats_url"),
        description="NATS server to use; without it `rugs up` starts its own",
    )
    data_dir: Path = Field(default=Path("~/rugs_data"), description="folder that everything is kept in")
    broker_port: Port = Field(default=4222, description="port of our own NATS server, on loopback; 0 takes a free one")
    connect_timeout: Seconds = Field(default=10.0, description="how long to try to reach the NATS server at start")
    stop_timeout: Seconds = Field(
        default=30.0, description="how long a process has to finish its work when told to stop"
    )

    stream_max_bytes: Size = Field(
        default=ByteSize(8 * 1024**3), description="hard limit of the stream: beyond it, publishing is refused"
    )
    stream_keep_bytes: Size = Field(
        default=ByteSize(4 * 1024**3),
        description="the stream is purged to this size, never of what the lake has not taken",
    )
    stream_keep_age: Seconds = Field(
        default=7 * 86400.0, description="messages older than this are purged, never what the lake has not taken"
    )
    blob_max_bytes: Annotated[Size, Field(ge=64 * 1024**2)] = Field(
        default=ByteSize(1024**3),
        description="hard limit of the object store for frames too large for a message: beyond it, putting one waits",
    )
    blob_keep_age: Seconds = Field(
        default=7 * 86400.0,
        description="objects left behind are removed after this, never what the lake has not taken",
    )
    stream_replicas: Annotated[PositiveInt, Field(le=5)] = Field(
        default=1, description="copies of the stream in a cluster"
    )
    stream_compression: bool = Field(default=True, description="compress the stream's files")
    duplicate_window: Seconds = Field(default=120.0, description="how long the broker drops a message that comes twice")

    flush_rows: PositiveInt = Field(default=100_000, description="rows after which the writer commits")
    # A text column of Arrow holds 2 GiB at the most.
    flush_bytes: Annotated[Size, Field(le=1024**3)] = Field(
        default=ByteSize(32 * 1024**2), description="bytes of messages after which the writer commits"
    )
    flush_seconds: Seconds = Field(default=1.0, description="time after which the writer commits what it has")

    compact_seconds: Seconds = Field(default=30.0, description="pause between two compactions in the background")
    snapshot_retention: Seconds = Field(
        default=6 * 3600.0, description="how long an old snapshot, and files replaced since, can still be read"
    )

    sources: str = Field(
        default="http,bus",
        description="where events are captured, of public, cdp, http, bus; public also where RUGS_FEED_URL is set",
    )
    feed_url: str | None = Field(default=None, description="Socket.IO feed that the source public connects to")
    cdp_host: str = Field(
        default=LOOPBACK, description="where a Chrome with remote debugging listens, for the source cdp"
    )
    cdp_port: Port = Field(default=9222, description="its port")
    cdp_pages: str = Field(default="*", description="pages that the source cdp follows: patterns of URLs, with commas")
    cdp_sockets: str = Field(
        default="*socket.io*", description="WebSockets that it records: patterns of URLs, with commas"
    )
    spool_max_bytes: Size = Field(
        default=ByteSize(4 * 1024**3), description="size of each source's spool, for when the broker is away"
    )
    ingest_host: str = Field(default=LOOPBACK, description="address that the source http listens on")
    ingest_port: Port = Field(default=9147, description="its port; 0 takes a free one")
    ingest_token: SecretStr | None = Field(
        default=None, description="token that may write over http; without one only this machine may"
    )
    ingest_max_body: Annotated[Size, Field(le=MAX_BLOB)] = Field(
        default=ByteSize(32 * 1024**2), description="largest body, unpacked"
    )
    ingest_rate: PositiveInt = Field(default=20_000, description="events a second that a token may write")

    legacy_recorders_enabled: bool = Field(
        default=False,
        validation_alias=AliasChoices("REPLAYER_LEGACY_RECORDERS_ENABLED", "legacy_recorders_enabled"),
        description="also write what is captured as the old recorders did",
    )
    legacy_dir: Path | None = Field(default=None, description="folder that the old formats are written to")
    legacy_source: Source = Field(default="public_ws", description="source whose events are written to it")
    legacy_timezone: str = Field(default="America/New_York", description="zone of the local times in it")

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least level that is logged"
    )

    @field_validator("nats_url", mode="after")
    @classmethod
    def _usable_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        parts = urlsplit(url.get_secret_value())
        if parts.scheme not in ("nats", "tls", "ws", "wss") or not parts.hostname:
            raise ValueError("not a NATS address: write nats://HOST:PORT")
        return url

    @field_validator("sources", mode="after")
    @classmethod
    def _known(cls, sources: str) -> str:
        names = _split(sources)
        if unknown := [name for name in names if name not in SOURCES]:
            raise ValueError(f"no such source: {unknown[0]}; there are {', '.join(SOURCES)}")
        return ",".join(names)

    @field_validator("feed_url", mode="after")
    @classmethod
    def _feed(cls, url: str | None) -> str | None:
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError("not the address of a feed: write https://HOST")
        return url

    @field_validator("data_dir", "legacy_dir", mode="after")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        return None if folder is None else folder.expanduser().absolute()

    @field_validator("legacy_timezone", mode="after")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            return ZoneInfo(name).key
        except (OSError, ValueError, KeyError) as error:  # a folder's name is an OSError, a missing one a KeyError
            raise ValueError("no such time zone: write a name such as America/New_York") from error

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, level: object) -> object:
        return level.lower() if isinstance(level, str) else level

    @model_validator(mode="after")
    def _purging_makes_room(self) -> Self:
        if self.stream_keep_bytes >= self.stream_max_bytes:
            raise ValueError("RUGS_STREAM_KEEP_BYTES must be below RUGS_STREAM_MAX_BYTES, or purging never makes room")
        return self

    @model_validator(mode="after")
    def _feed_known(self) -> Self:
        if "public" in self.capture_sources and self.feed_url is None:
            raise ValueError("RUGS_FEED_URL must name the feed that the source public connects to")
        return self

    @model_validator(mode="after")
    def _legacy_folder(self) -> Self:
        if self.legacy_recorders_enabled and self.legacy_dir is None:
            raise ValueError("RUGS_LEGACY_DIR must name the folder that the old formats are written to")
        if self.legacy_dir is not None and self.legacy_dir.is_relative_to(self.data_dir):
            raise ValueError("RUGS_LEGACY_DIR must lie outside RUGS_DATA_DIR: nothing but the lake writes there")
        return self

    @classmethod
    def load(cls) -> Self:
        """Read the settings from the environment.

        Raises:
            SettingsError: naming the first one that cannot be used.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            text = first["msg"].removeprefix("Value error, ")
            names = [environment_name(str(part)) for part in first["loc"][:1]]
            raise SettingsError(": ".join([*names, text])) from error

    @property
    def broker_url(self) -> str:
        """Where clients connect: `NATS_URL`, or where `rugs up` starts its own server."""
        return self.nats_url.get_secret_value() if self.nats_url else f"nats://{LOOPBACK}:{self.broker_port}"

    @property
    def capture_sources(self) -> list[str]:
        """Names of the sources that are captured."""
        names = _split(self.sources)
        return names if self.feed_url is None or "public" in names else ["public", *names]

    @property
    def state_dir(self) -> Path:
        """Folder of the broker's store, logs and process files."""
        return self.data_dir / "state"


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


class SettingLine(NamedTuple):
    """One setting, for people; secrets are masked. `is_set` tells whether the environment says it."""

    name: str
    value: str | int | float | bool | None
    default: str | int | float | bool | None
    variable: str
    is_set: bool
    description: str


def environment_name(field: str) -> str:
    """Return the environment variable of a setting."""
    return field if field in _OTHER_NAMES.values() else _OTHER_NAMES.get(field, PREFIX + field.upper())


def describe(settings: Settings) -> list[SettingLine]:
    """Return every setting with its value, default, variable and description."""
    return [
        SettingLine(
            name,
            _shown(getattr(settings, name)),
            _shown(field.default),
            environment_name(name),
            name in settings.model_fields_set,
            field.description or "",
        )
        for name, field in type(settings).model_fields.items()
    ]


def _shown(value: object) -> str | int | float | bool | None:
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return without_credentials(secret) if "://" in secret else "***"
    if isinstance(value, ByteSize):
        return int(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def without_credentials(url: str) -> str:
    """Return a URL with user and password masked."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"***@{host}").geturl() if at and user else url
