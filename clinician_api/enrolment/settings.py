"""Settings of enrolment, from environment variables that begin with HEMVITAL_ENROLMENT_."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self, TypeVar

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from clinician_api.settings import read

PREFIX: Final = "HEMVITAL_ENROLMENT_"
_HOST: Final = r"^[A-Za-z0-9_.:-]{1,253}$"


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")


class DatabaseSettings(_Settings):
    """What every command of an operator needs."""

    database: SecretStr


class AuthoritySettings(_Settings):
    """Where the authority's files are."""

    authority_certificate: Path = Path("authority.pem")
    authority_key: Path = Path("authority.key")


class SigningSettings(DatabaseSettings, AuthoritySettings):
    """What a command needs that signs a list of revoked certificates."""


class RunSettings(SigningSettings):
    """What the server needs; ``docs/reference/enrolment.md`` tells of each."""

    pool_size: int = Field(default=4, ge=1, le=100)
    host: str = "127.0.0.1"
    port: int = Field(default=8010, ge=0, le=65535)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    proxies: str = "127.0.0.1"
    max_connections: int = Field(default=200, ge=10, le=100_000)
    monitoring_port: int = Field(default=9104, ge=0, le=65535)
    broker_host: str = Field(pattern=_HOST)
    broker_port: int = Field(default=8883, ge=1, le=65535)
    broker_authority: Path | None = None
    validity_days: int = Field(default=90, ge=1, le=825)
    grace_days: int = Field(default=180, ge=0, le=3650)
    stop_seconds: int = Field(default=5, ge=1, le=60)
    log_level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")

    @model_validator(mode="after")
    def _has_both_or_none(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError(f"{PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY come together")
        return self


class PublishingSettings(_Settings):
    """What a command needs that has the broker refuse and cut off what is revoked."""

    revocations_database: SecretStr
    revocations_directory: Path
    reload_command: str | None = None
    broker_services_host: str = Field(default="localhost", pattern=_HOST)
    broker_services_port: int = Field(default=8884, ge=1, le=65535)
    broker_services_authority: Path
    broker_services_certificate: Path
    broker_services_key: Path


_KINDS: Final = (RunSettings, PublishingSettings)
_T = TypeVar("_T", bound=_Settings)


def load(kind: type[_T], environment: Mapping[str, str]) -> _T:
    """Return a command's settings; every command knows every variable of enrolment.

    Raises:
        SettingsError: If a variable with the prefix is unknown (misspelt), missing or wrong.
    """
    known = {name for each in _KINDS for name in each.model_fields}
    return read(kind, environment, prefix=PREFIX, known=known)
