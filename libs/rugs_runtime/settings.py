"""Settings of every process: each has an environment variable, a default and a description.

Sizes are bytes, or text such as ``8GiB``; durations are seconds, or text such as
``90s``, ``30m``, ``12h``, ``7d``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self
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
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from rugs_core.errors import RugsError
from rugs_core.secrets import MASK, mask_secrets
from rugs_proto.rules import SOURCE_PATTERN, SOURCE_RULE, is_source
from rugs_proto.rules import SOURCES as KNOWN_SOURCES
from rugs_proto.subjects import MAX_BLOB

PREFIX: Final = "RUGS_"
_OTHER_NAMES: Final = {
    "nats_url": "NATS_URL",
    "legacy_recorders_enabled": "REPLAYER_LEGACY_RECORDERS_ENABLED",
}
"""Variables without that beginning."""
LOOPBACK: Final = "127.0.0.1"

_BYTES: Final = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*")


class SettingsError(RugsError):
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
_SHARED_OPTIONS: Final = ("transports", "ca_file", "proxy")
"""Options of the source public that count for every feed: the others may hold what only that one may know."""
_FEED_OPTIONS: Final = ("url", "path", "namespace", "query", "headers", "auth", "transports", "ca_file", "proxy")


class Settings(BaseSettings):
    """What can be set. Durations are in seconds, sizes in bytes.

    Use `Settings.load()`: it says in one line what is wrong.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    nats_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("NATS_URL", "nats_url"),
        description="NATS server to use, or several with commas; without it `rugs up` starts its own",
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
    feed_url: SecretStr | None = Field(
        default=None, description="Socket.IO feed that the source public connects to; its path is the namespace"
    )
    feeds: SecretStr | None = Field(
        default=None, description="more Socket.IO feeds, each a source of that name: NAME=URL,NAME=URL"
    )
    feed_path: str | None = Field(default=None, description="path of the feed's Engine.IO requests: /socket.io/")
    feed_namespace: str | None = Field(default=None, description="namespace of the feed, where the URL names none")
    feed_query: SecretStr | None = Field(default=None, description="more of the feed's query: NAME=VALUE&NAME=VALUE")
    feed_headers: SecretStr | None = Field(
        default=None, description="headers for the feed: `Name: value` a line, a JSON object, or @FILE with either"
    )
    feed_auth: SecretStr | None = Field(default=None, description="auth payload for the feed: a JSON object, or @FILE")
    feed_transports: str | None = Field(
        default=None, description="transports to try, in this order: websocket, polling, or both with a comma"
    )
    feed_ca_file: Path | None = Field(
        default=None, description="PEM file of the certificate authorities to trust instead of the system's"
    )
    feed_proxy: SecretStr | None = Field(
        default=None,
        description="HTTP proxy to the feed; without it HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY count",
    )
    feed_timeout: Seconds = Field(
        default=20.0, description="how long the whole of connecting to the feed may take, from TCP to its answer"
    )
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
    legacy_source: str = Field(
        default="public_ws", pattern=SOURCE_PATTERN, description="source whose events are written to it"
    )
    legacy_timezone: str = Field(default="America/New_York", description="zone of the local times in it")

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least level that is logged"
    )

    @field_validator("nats_url", mode="after")
    @classmethod
    def _usable_url(cls, url: SecretStr | None) -> SecretStr | None:
        from rugs_bus.address import parse_broker_address

        return None if url is None else SecretStr(parse_broker_address(url.get_secret_value()).url)

    @field_validator("feeds", mode="after")
    @classmethod
    def _usable_feeds(cls, feeds: SecretStr | None) -> SecretStr | None:
        found: set[str] = set()
        for place, (name, url) in enumerate(_feeds(feeds), start=1):
            if not is_source(name) or not url:
                raise ValueError(f"feed {place}: write NAME=URL, with a name of {SOURCE_RULE}; a comma in a URL is %2C")
            if name in found or name in (*SOURCES, *KNOWN_SOURCES):
                raise ValueError(f"feed {place}: another source has the name {name}")
            found.add(name)
        return feeds

    @field_validator("sources", mode="after")
    @classmethod
    def _known(cls, sources: str) -> str:
        names = _split(sources)
        if unknown := [name for name in names if name not in SOURCES]:
            raise ValueError(f"no such source: {unknown[0]}; there are {', '.join(SOURCES)}")
        return ",".join(names)

    @field_validator("data_dir", "legacy_dir", "feed_ca_file", mode="after")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

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
    def feed_options(self) -> dict[str, Any]:
        """What `rugs_capture.feed_address.parse_feed` takes: the URL and what is set beside it."""
        values = {name: getattr(self, f"feed_{name}") for name in _FEED_OPTIONS}
        return {name: _plain(value) for name, value in values.items() if value is not None}

    @property
    def named_feeds(self) -> dict[str, dict[str, Any]]:
        """What `parse_feed` takes for each of `feeds`: its URL, and what is set for feeds and says nothing of one."""
        shared = {name: value for name, value in self.feed_options.items() if name in _SHARED_OPTIONS}
        return {name: {"url": url, **shared} for name, url in _feeds(self.feeds)}

    @property
    def capture_sources(self) -> list[str]:
        """Names of the sources that are captured."""
        names = [*self.named_feeds, *_split(self.sources)]
        return names if self.feed_url is None or "public" in names else ["public", *names]

    @property
    def state_dir(self) -> Path:
        """Folder of the broker's store, logs and process files."""
        return self.data_dir / "state"


def _feeds(feeds: SecretStr | None) -> list[tuple[str, str]]:
    """Return name and URL of each feed; of a part that is no pair, the URL is empty."""
    parts = _split(feeds.get_secret_value()) if feeds is not None else []
    return [(name.strip(), url.strip()) for name, _, url in (part.partition("=") for part in parts)]


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


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


def environment_name(field: str) -> str:
    """Return the environment variable of a setting."""
    return field if field in _OTHER_NAMES.values() else _OTHER_NAMES.get(field, PREFIX + field.upper())


def describe(settings: Settings) -> list[SettingLine]:
    """Return every setting with its value, default, variable and description."""
    return [_line(settings, name, field) for name, field in type(settings).model_fields.items()]


def _line(settings: Settings, name: str, field: FieldInfo) -> SettingLine:
    value, default = _shown(name, getattr(settings, name)), _shown(name, field.default)
    unit = _unit(field)
    text = "" if value is None else str(value)
    if unit is not None and isinstance(value, int | float):
        text = _written(value, _SECONDS if unit == "s" else _BYTES)
    described = field.description or ""
    return SettingLine(
        name, value, default, environment_name(name), name in settings.model_fields_set, described, unit, text
    )


def _unit(field: FieldInfo) -> Literal["s", "bytes"] | None:
    if isinstance(field.default, ByteSize) or field.annotation is ByteSize:
        return "bytes"
    is_duration = any(isinstance(each, BeforeValidator) and each.func is _seconds for each in field.metadata)
    return "s" if is_duration else None


def _written(value: float, units: Mapping[str, int]) -> str:
    """Return a number in the largest unit that it is a whole number of, else in the smallest."""
    (smallest, _), *_ = named = [(name, size) for name, size in units.items() if name]
    for name, size in reversed(named):
        if value and value % size == 0:
            return f"{value / size:.0f}{name}"
    return f"{value}{smallest}"


def _shown(name: str, value: object) -> str | int | float | bool | None:
    if isinstance(value, SecretStr) and name == "feeds":
        return ",".join(f"{feed}={mask_secrets(url)}" for feed, url in _feeds(value))
    if isinstance(value, SecretStr):
        return mask_secrets(value.get_secret_value()) if name.endswith("_url") else MASK
    if isinstance(value, ByteSize):
        return int(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
