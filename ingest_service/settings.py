"""Settings: environment variables, each of them known; a misspelt one stops the start."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

PREFIX: Final = "HEMVITAL_INGEST_"


class SettingsError(ValueError):
    """A setting is missing, unknown or wrong; the text is one sentence that names it."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    log_level: Literal["debug", "info", "warning", "error"] = "info"


class OwnerSettings(_Settings):
    """For commands that change the schema or what is registered."""

    owner_database: str


class ReaderSettings(_Settings):
    """For commands that only look."""

    database: str


class OperatorSettings(_Settings):
    """For commands with which a person decides about readings."""

    operator_database: str


class BrokerSettings(_Settings):
    """For whoever comes to the broker."""

    broker_host: str = "localhost"
    broker_port: Annotated[int, Field(ge=1, le=65535)] = 8884
    broker_authority: Path
    broker_certificate: Path
    broker_key: Path
    http_host: str = "127.0.0.1"


class WorkerSettings(BrokerSettings):
    """For one ingest worker."""

    database: str
    client_id: Annotated[str, Field(min_length=1, max_length=64)] = "ingest-1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 9464
    receive_maximum: Annotated[int, Field(ge=1, le=65535)] = 512
    batch_messages: Annotated[int, Field(ge=1, le=4096)] = 256
    session_expiry_s: Annotated[int, Field(ge=0, le=86_400)] = 60
    drain_s: Annotated[float, Field(ge=0, le=600)] = 10.0


class JobsSettings(BrokerSettings):
    """For the process that does what time demands."""

    jobs_database: str
    jobs_client_id: Annotated[str, Field(min_length=1, max_length=64)] = "ingest-jobs"
    jobs_http_port: Annotated[int, Field(ge=0, le=65535)] = 9465
    hole_age_s: Annotated[int, Field(ge=1, le=86_400)] = 60
    outage_rules: Path | None = None
    notification_secrets: Path | None = None
    notification_authority: Path | None = None
    notification_networks: str = ""
    worklist_url: Annotated[str, Field(pattern=r"^https?://[!-~]{1,200}$")] | None = None
    smtp_host: str | None = None
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    smtp_security: Literal["starttls", "tls"] = "starttls"
    smtp_from: Annotated[str, Field(pattern=r"^[!-?A-~]+@[A-Za-z0-9.-]+$")] | None = None
    smtp_user: str | None = None
    smtp_secret: str | None = None
    sms_gateway: Path | None = None

    @field_validator("notification_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for each in filter(None, map(str.strip, value.split(","))):
            ip_network(each)
        return value

    @property
    def networks(self) -> tuple[str, ...]:
        """Networks that are not public and may be notified all the same, as 10.1.0.0/16."""
        return tuple(filter(None, map(str.strip, self.notification_networks.split(","))))


class ClockSettings(_Settings):
    """For the process that judges patients as time passes."""

    database: str
    jobs_database: str
    http_host: str = "127.0.0.1"
    clock_http_port: Annotated[int, Field(ge=0, le=65535)] = 9468


class CanarySettings(_Settings):
    """For the canary's process: it comes in as gateways do, and knows no service's certificate."""

    canary_database: str
    canary_state: Path
    canary_broker_host: str = "localhost"
    canary_broker_port: Annotated[int, Field(ge=1, le=65535)] = 8883
    canary_broker_authority: Path
    canary_broker_certificate: Path
    canary_broker_key: Path
    canary_page_url: Annotated[str, Field(pattern="^https?://")] | None = None
    canary_heartbeat_url: Annotated[str, Field(pattern="^https?://")] | None = None
    canary_http_port: Annotated[int, Field(ge=0, le=65535)] = 9466
    http_host: str = "127.0.0.1"


class DowntimeSettings(_Settings):
    """For whoever writes the downtime list; without a directory nothing is written."""

    downtime_database: str
    downtime_directory: Path
    downtime_timezone: str = "Europe/Stockholm"
    downtime_every_min: Annotated[int, Field(ge=1, le=24 * 60)] = 15
    downtime_http_port: Annotated[int, Field(ge=0, le=65535)] = 9467
    http_host: str = "127.0.0.1"


_ALL: Final = (
    OwnerSettings,
    ReaderSettings,
    OperatorSettings,
    BrokerSettings,
    WorkerSettings,
    JobsSettings,
    ClockSettings,
    CanarySettings,
    DowntimeSettings,
)
_T = TypeVar("_T", bound=_Settings)


def load(kind: type[_T], environment: Mapping[str, str]) -> _T:
    """Return a command's settings.

    Every command knows every variable of the service, so that one environment serves them all.
    Not by pydantic-settings, which overlooks a misspelt name at the top level.

    Raises:
        SettingsError: In one sentence.
    """
    known = {f"{PREFIX}{name}".upper() for each in _ALL for name in each.model_fields}
    for name in environment:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            nearest = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else "."
            raise SettingsError(f"Unknown setting {name}{hint}")
    given = {name.upper().removeprefix(PREFIX).lower(): environment[name] for name in environment}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = f"{PREFIX}{first['loc'][0]}".upper()
        if first["type"] == "missing":
            raise SettingsError(f"The setting {name} is missing.") from error
        raise SettingsError(f"The setting {name} is wrong: {first['msg']}.") from error
