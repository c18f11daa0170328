"""Settings: what the environment may say, and what is said when it is wrong."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest
from pydantic import ByteSize

from rugs_cli.commands.sim import DEFAULT_PORT
from rugs_runtime.settings import Settings, SettingsError, describe, environment_name
from rugs_runtime.stack import LEGACY_WRITER, SMALLEST_STREAM, services_of, stream_limits


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("RUGS_", "NATS_", "REPLAYER_")):
            monkeypatch.delenv(name)


def test_defaults() -> None:
    settings = Settings.load()
    assert settings.nats_url is None
    assert settings.broker_url == "nats://127.0.0.1:4222"
    assert settings.data_dir == Path.home() / "rugs_data"
    assert settings.state_dir == settings.data_dir / "state"
    assert settings.stream_keep_bytes < settings.stream_max_bytes


def test_every_setting_has_a_variable_and_a_description(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = describe(Settings.load())
    assert {line.name for line in lines} == set(Settings.model_fields)
    assert all(line.description and line.variable == environment_name(line.name) for line in lines)
    assert not any(line.is_set for line in lines)
    for line in lines:  # each default is a value that its variable takes
        if line.default is not None:
            monkeypatch.setenv(line.variable, str(line.default))
    assert [line.value for line in describe(Settings.load())] == [line.value for line in lines]


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("NATS_URL", "nats://h:1", "broker_url", "nats://h:1"),
        ("NATS_URL", "", "broker_url", "nats://127.0.0.1:4222"),
        ("RUGS_BROKER_PORT", "0", "broker_port", 0),
        ("RUGS_STREAM_KEEP_AGE", "2d", "stream_keep_age", 172800),
        ("RUGS_FLUSH_SECONDS", "0.25", "flush_seconds", 0.25),
        ("RUGS_COMPACT_SECONDS", "1.5 h", "compact_seconds", 5400),
        ("RUGS_FLUSH_BYTES", "1 MiB", "flush_bytes", 1048576),
        ("RUGS_FLUSH_BYTES", "1000", "flush_bytes", 1000),
        ("RUGS_STREAM_COMPRESSION", "false", "stream_compression", False),
        ("RUGS_LOG_LEVEL", "WARNING", "log_level", "warning"),
        ("RUGS_DATA_DIR", "~/elsewhere", "data_dir", Path.home() / "elsewhere"),
        ("RUGS_DATA_DIR", "relative", "data_dir", Path.cwd() / "relative"),
        ("RUGS_DATA_DIR", "", "data_dir", Path.home() / "rugs_data"),
        ("RUGS_BLOB_KEEP_AGE", "30d", "blob_keep_age", 2592000),
        ("RUGS_FLUSH_ROWS", "", "flush_rows", 100_000),
    ],
)
def test_values(monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: object) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(Settings.load(), name) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("NATS_URL", "localhost"),
        ("NATS_URL", "http://localhost:4222"),
        ("NATS_URL", "nats://"),
        ("RUGS_BROKER_PORT", "70000"),
        ("RUGS_BROKER_PORT", "-1"),
        ("RUGS_FLUSH_ROWS", "0"),
        ("RUGS_FLUSH_BYTES", "2GiB"),
        ("RUGS_FLUSH_SECONDS", "0"),
        ("RUGS_FLUSH_SECONDS", "nan"),
        ("RUGS_FLUSH_SECONDS", "soon"),
        ("RUGS_STREAM_KEEP_BYTES", "9GiB"),
        ("RUGS_STREAM_REPLICAS", "6"),
        ("RUGS_BLOB_MAX_BYTES", "32MiB"),
        ("RUGS_LOG_LEVEL", "loud"),
    ],
)
def test_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsError, match=f"^{variable}[^\n]+$"):
        Settings.load()


SECRETS = {
    "NATS_URL": "nats://user:hunter2@h:1,h2",
    "RUGS_FEED_URL": "https://user:hunter2@h/?token=hunter2&x=1",
    "RUGS_FEED_QUERY": "token=hunter2",
    "RUGS_FEED_HEADERS": "Origin: https://h\nCookie: sid=hunter2",
    "RUGS_FEED_AUTH": '{"token":"hunter2"}',
    "RUGS_FEEDS": "a=https://user:hunter2@h/?token=hunter2&x=1,b=https://h",
    "RUGS_FEED_PROXY": "http://user:hunter2@h:3128",
    "RUGS_INGEST_TOKEN": "hunter2",
}


def test_a_secret_is_nowhere_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    assert settings.broker_url == "nats://user:hunter2@h:1,nats://user:hunter2@h2:4222"
    assert settings.feed_options["headers"] == SECRETS["RUGS_FEED_HEADERS"]
    assert "hunter2" not in repr(settings) + str(settings) + str(describe(settings))
    shown = {line.variable: line.value for line in describe(settings)}
    assert shown["NATS_URL"] == "nats://***@h:1,nats://***@h2:4222"
    assert shown["RUGS_FEED_URL"] == "https://***@h/?token=***&x=1"
    assert shown["RUGS_FEEDS"] == "a=https://***@h/?token=***&x=1,b=https://h"


def test_named_feeds_are_captured_and_are_told_nothing_that_the_other_feed_must_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RUGS_FEEDS", " demo = https://h/?a=b=c , other_2=wss://h2/ws/?EIO=4")
    settings = Settings.load()
    assert settings.capture_sources == ["public", "demo", "other_2", "http", "bus"]
    proxy = SECRETS["RUGS_FEED_PROXY"]
    assert settings.named_feeds == {
        "demo": {"url": "https://h/?a=b=c", "proxy": proxy},
        "other_2": {"url": "wss://h2/ws/?EIO=4", "proxy": proxy},
    }


@pytest.mark.parametrize(
    "feeds",
    [
        "https://u:hunter2@h", "a=https://u:hunter2@h,b", "A=https://hunter2@h", "=https://hunter2@h", "a=",
        "a=https://h,a=https://hunter2@h", "public=https://hunter2@h", "import=https://h", "bus=https://h",
        "a=https://h/?q=1,hunter2",
    ],
)  # fmt: skip
def test_feeds_that_cannot_be_told_apart_are_refused(monkeypatch: pytest.MonkeyPatch, feeds: str) -> None:
    monkeypatch.setenv("RUGS_FEEDS", feeds)
    with pytest.raises(SettingsError, match=r"^RUGS_FEEDS: feed [12]: [^\n]+$") as refused:
        Settings.load()
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("url", ["hunter2@h", "nats://user:hunter2", "nats://u:1,hunter2@h", "http://u:hunter2@h/@"])
def test_a_secret_in_an_address_that_cannot_be_used_is_in_no_traceback(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("NATS_URL", url)
    with pytest.raises(SettingsError, match=r"^NATS_URL: [^\n]+$") as refused:
        Settings.load()
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


def test_the_stream_fits_the_disk_and_the_settings() -> None:
    settings = Settings(stream_max_bytes=ByteSize(8 << 30), stream_keep_bytes=ByteSize(5 << 30))
    assert stream_limits(settings, 100 << 30, 0) == (8 << 30, 5 << 30)
    assert stream_limits(settings, 2 << 30, 0) == (1 << 30, 512 << 20)
    assert stream_limits(settings, 0, 0) == (SMALLEST_STREAM, SMALLEST_STREAM // 2)


def test_a_stream_that_has_filled_the_disk_keeps_its_limit() -> None:
    settings = Settings(stream_max_bytes=ByteSize(8 << 30), stream_keep_bytes=ByteSize(5 << 30))
    assert stream_limits(settings, 1 << 30, 1 << 30) == (1 << 30, 512 << 20)  # as with 2 GiB free, and nothing stored
    assert stream_limits(settings, 0, 1 << 30) == (1 << 30, 512 << 20)
    assert stream_limits(settings, 0, 9 << 30) == (8 << 30, 5 << 30)


def test_no_port_is_one_that_was_in_use_around_the_previous_system() -> None:
    taken = {*range(9000, 9041), 5000, 3000, 9222}
    settings = Settings.load()
    listening = [
        value for name, value in settings.model_dump().items() if name.endswith("_port") and name != "cdp_port"
    ]
    assert len(listening) >= 2
    assert not taken & {*listening, DEFAULT_PORT}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"REPLAYER_LEGACY_RECORDERS_ENABLED": "true"}, "RUGS_LEGACY_DIR must name"),
        ({"RUGS_DATA_DIR": "/srv/rugs", "RUGS_LEGACY_DIR": "/srv/rugs/old"}, "outside RUGS_DATA_DIR"),
        ({"RUGS_LEGACY_TIMEZONE": "America"}, "RUGS_LEGACY_TIMEZONE: no such time zone"),
        ({"REPLAYER_LEGACY_RECORDERS_ENABLED": "perhaps"}, "REPLAYER_LEGACY_RECORDERS_ENABLED: "),
    ],
)
def test_settings_of_the_old_formats_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], says: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=says):
        Settings.load()


def test_the_legacy_writer_is_part_of_the_stack_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUGS_LEGACY_DIR", "/srv/old")
    assert LEGACY_WRITER not in services_of(Settings.load())
    monkeypatch.setenv("REPLAYER_LEGACY_RECORDERS_ENABLED", "true")
    names = [service.name for service in services_of(Settings.load())]
    assert names == ["parquet-writer", "legacy-writer", "capture-gateway", "indexer"], "they stop in reverse"


def test_the_stack_can_do_without_the_indexer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUGS_INDEXER_ENABLED", "false")
    names = [service.name for service in services_of(Settings.load())]
    assert names == ["parquet-writer", "capture-gateway"]
