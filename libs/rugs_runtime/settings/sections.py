"""One section of the settings for each service, and all of them for the stack and the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AliasChoices, ByteSize, Field, PositiveInt, SecretStr, field_validator, model_validator

from rugs_proto.rules import SOURCE_PATTERN, SOURCE_RULE, is_source
from rugs_proto.rules import SOURCES as KNOWN_SOURCES
from rugs_proto.subjects import MAX_BLOB
from rugs_runtime.settings.base import LOOPBACK, CommonSettings
from rugs_runtime.settings.values import Place, Port, Seconds, Size, parts

SOURCES: Final = ("public", "cdp", "http", "bus")
_SHARED_OPTIONS: Final = ("transports", "ca_file", "proxy")
"""Options of the source public that count for every feed: the others may hold what only that one may know."""
_FEED_OPTIONS: Final = ("url", "path", "namespace", "query", "headers", "auth", "transports", "ca_file", "proxy")


class WriterSettings(CommonSettings):
    """The parquet-writer: how the stream is kept, when it commits, how the lake is kept."""

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
    compact_seconds: Seconds = Field(default=30.0, description="pause between two compactions in the background")
    snapshot_retention: Seconds = Field(
        default=6 * 3600.0, description="how long an old snapshot, and files replaced since, can still be read"
    )

    @model_validator(mode="after")
    def _purging_makes_room(self) -> Self:
        if self.stream_keep_bytes >= self.stream_max_bytes:
            raise ValueError("RUGS_STREAM_KEEP_BYTES must be below RUGS_STREAM_MAX_BYTES, or purging never makes room")
        return self


class CaptureSettings(CommonSettings):
    """The capture-gateway: which sources it has, and what each is told."""

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
    feed_ca_file: Place | None = Field(
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

    @field_validator("feeds", mode="after")
    @classmethod
    def _usable_feeds(cls, feeds: SecretStr | None) -> SecretStr | None:
        found: set[str] = set()
        for place, (name, url) in enumerate(feeds_of(feeds), start=1):
            if not is_source(name) or not url:
                raise ValueError(f"feed {place}: write NAME=URL, with a name of {SOURCE_RULE}; a comma in a URL is %2C")
            if name in found or name in (*SOURCES, *KNOWN_SOURCES):
                raise ValueError(f"feed {place}: another source has the name {name}")
            found.add(name)
        return feeds

    @field_validator("sources", mode="after")
    @classmethod
    def _known(cls, sources: str) -> str:
        names = parts(sources)
        if unknown := [name for name in names if name not in SOURCES]:
            raise ValueError(f"no such source: {unknown[0]}; there are {', '.join(SOURCES)}")
        return ",".join(names)

    @model_validator(mode="after")
    def _feed_known(self) -> Self:
        if "public" in self.capture_sources and self.feed_url is None:
            raise ValueError("RUGS_FEED_URL must name the feed that the source public connects to")
        return self

    @property
    def feed_options(self) -> dict[str, Any]:
        """What `rugs_capture.feed_address.parse_feed` takes: the URL and what is set beside it."""
        values = {name: getattr(self, f"feed_{name}") for name in _FEED_OPTIONS}
        return {name: _plain(value) for name, value in values.items() if value is not None}

    @property
    def named_feeds(self) -> dict[str, dict[str, Any]]:
        """What `parse_feed` takes for each of `feeds`: its URL, and what is set for feeds and says nothing of one."""
        shared = {name: value for name, value in self.feed_options.items() if name in _SHARED_OPTIONS}
        return {name: {"url": url, **shared} for name, url in feeds_of(self.feeds)}

    @property
    def capture_sources(self) -> list[str]:
        """Names of the sources that are captured."""
        names = [*self.named_feeds, *parts(self.sources)]
        return names if self.feed_url is None or "public" in names else ["public", *names]


class DualWriteSettings(CommonSettings):
    """The legacy-writer: whether, where and what it writes."""

    legacy_recorders_enabled: bool = Field(
        default=False,
        validation_alias=AliasChoices("REPLAYER_LEGACY_RECORDERS_ENABLED", "legacy_recorders_enabled"),
        description="also write what is captured as the old recorders did",
    )
    legacy_dir: Place | None = Field(default=None, description="folder that the old formats are written to")
    legacy_source: str = Field(
        default="public_ws", pattern=SOURCE_PATTERN, description="source whose events are written to it"
    )
    legacy_timezone: str = Field(default="America/New_York", description="zone of the local times in it")

    @field_validator("legacy_timezone", mode="after")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            return ZoneInfo(name).key
        except (OSError, ValueError, KeyError) as error:  # a folder's name is an OSError, a missing one a KeyError
            raise ValueError("no such time zone: write a name such as America/New_York") from error

    @model_validator(mode="after")
    def _legacy_folder(self) -> Self:
        if self.legacy_recorders_enabled and self.legacy_dir is None:
            raise ValueError("RUGS_LEGACY_DIR must name the folder that the old formats are written to")
        if self.legacy_dir is not None and self.legacy_dir.is_relative_to(self.data_dir):
            raise ValueError("RUGS_LEGACY_DIR must lie outside RUGS_DATA_DIR: nothing but the lake writes there")
        return self


class IndexerSettings(CommonSettings):
    """The indexer: whether the stack runs it, how often it reports, and what the semantic index is made of."""

    indexer_enabled: bool = Field(
        default=True, description="run the indexer in the stack: it keeps discovery and the semantic index current"
    )
    discovery_seconds: Seconds = Field(
        default=30.0, description="pause between two reports of discovery: documents, and alerts of what is new"
    )
    index_enabled: bool = Field(default=True, description="keep the semantic index current in the indexer")
    index_seconds: Seconds = Field(default=5.0, description="pause between two updates of the semantic index")
    index_policy: str = Field(
        default="",
        description="which events get a chunk: EVENT=each, sampled, summarised or none, with commas; see docs/index.md",
    )
    index_profile: Literal["rugbus", "claude_flow_v1"] = Field(
        default="rugbus", description="how the texts of events are written; another one needs `rugs index rebuild`"
    )
    index_docs: str = Field(default="", description="folders of Markdown documents to index, with commas")
    embedder: SecretStr = Field(
        default=SecretStr(""),
        description="openvino, sentence-transformers:FOLDER, a URL, or none; default: EMBED_ENDPOINT, else openvino",
    )
    embed_threads: PositiveInt = Field(default=1, description="threads with which the indexer embeds")

    @field_validator("index_policy", mode="after")
    @classmethod
    def _usable_policy(cls, policy: str) -> str:
        from rugs_index.policy import parse

        parse(policy)
        return policy

    @property
    def document_folders(self) -> list[Path]:
        """The folders of documents."""
        return [Path(name).expanduser().absolute() for name in parts(self.index_docs)]


class Settings(IndexerSettings, DualWriteSettings, CaptureSettings, WriterSettings):
    """Everything that can be set: for the stack, which tells its services, and for the command line."""


def feeds_of(feeds: SecretStr | None) -> list[tuple[str, str]]:
    """Return name and URL of each feed; of a part that is no pair, the URL is empty."""
    pairs = parts(feeds.get_secret_value()) if feeds is not None else []
    return [(name.strip(), url.strip()) for name, _, url in (part.partition("=") for part in pairs)]


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
