"""What every process is told: where the data and the broker are, and how it begins, ends and logs."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rugs_core.errors import RugsError
from rugs_runtime.settings.values import Place, Port, Seconds

PREFIX: Final = "RUGS_"
_OTHER_NAMES: Final = {
    "nats_url": "NATS_URL",
    "legacy_recorders_enabled": "REPLAYER_LEGACY_RECORDERS_ENABLED",
}
"""Variables without that beginning."""
LOOPBACK: Final = "127.0.0.1"


class SettingsError(RugsError):
    """A setting cannot be used: one line that names it, and says why."""


class CommonSettings(BaseSettings):
    """What every process is told. Durations are in seconds, sizes in bytes.

    Use `load()`: it says in one line what is wrong.
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
    data_dir: Place = Field(default=Path("~/rugs_data"), description="folder that everything is kept in")
    broker_port: Port = Field(default=4222, description="port of our own NATS server, on loopback; 0 takes a free one")
    connect_timeout: Seconds = Field(default=10.0, description="how long to try to reach the NATS server at start")
    stop_timeout: Seconds = Field(
        default=30.0, description="how long a process has to finish its work when told to stop"
    )
    flush_seconds: Seconds = Field(default=1.0, description="time after which the writer commits what it has")

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least level that is logged"
    )

    @field_validator("nats_url", mode="after")
    @classmethod
    def _usable_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        from rugs_bus.address import parse_broker_address  # brings nats-py: half a second that most commands can save

        return SecretStr(parse_broker_address(url.get_secret_value()).url)

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, level: object) -> object:
        return level.lower() if isinstance(level, str) else level

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
    def state_dir(self) -> Path:
        """Folder of the broker's store, logs and process files."""
        return self.data_dir / "state"


def environment_name(field: str) -> str:
    """Return the environment variable of a setting."""
    return field if field in _OTHER_NAMES.values() else _OTHER_NAMES.get(field, PREFIX + field.upper())
