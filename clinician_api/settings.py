"""Settings of the API, from environment variables that begin with HEMVITAL_API_."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "HEMVITAL_API_"
_T = TypeVar("_T", bound=BaseSettings)


class SettingsError(ValueError):
    """The settings do not hold; the text is one sentence that names the variable."""


class Settings(BaseSettings):
    """What an installation decides; ``docs/reference/api-settings.md`` tells of each."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    database: SecretStr
    owner_database: SecretStr | None = None
    pool_size: int = Field(default=8, ge=1, le=100)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    max_connections: int = Field(default=1000, ge=10, le=100_000)
    monitoring_port: int = Field(default=9103, ge=0, le=65535)
    public_url: str = Field(default="http://localhost:8000", pattern=r"^https?://[^/]+$")
    key_file: Path = Path("api-key.json")
    timezone: ZoneInfo = ZoneInfo("Europe/Stockholm")
    search_years: int = Field(default=10, ge=1, le=100)
    oidc_issuer: str = Field(pattern=r"^https?://")
    oidc_client_id: str = "hemvital"
    oidc_client_secret: SecretStr
    session_idle_minutes: int = Field(default=30, ge=1, le=720)
    session_hours: int = Field(default=10, ge=1, le=24)
    stop_seconds: int = Field(default=5, ge=1, le=60)
    demo: bool = False
    log_level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")


def load(environment: Mapping[str, str]) -> Settings:
    """Return the settings that the environment gives.

    Raises:
        SettingsError: If a variable with the prefix is unknown (misspelt), missing or wrong.
    """
    return read(Settings, environment, prefix=PREFIX, known=Settings.model_fields)


def read(
    kind: type[_T], environment: Mapping[str, str], *, prefix: str, known: Iterable[str]
) -> _T:
    """Return settings of one kind; pydantic-settings alone passes over unknown variables.

    Args:
        kind: What to return.
        environment: All variables; those that begin with the prefix count.
        prefix: Such as ``HEMVITAL_API_``.
        known: Every name that may follow it; more than ``kind`` has where kinds share a prefix.

    Raises:
        SettingsError: If a variable is unknown, missing or wrong.
    """
    names = {prefix + name.upper(): name for name in known}
    for name in sorted(environment):
        if name.upper().startswith(prefix) and name.upper() not in names:
            near = difflib.get_close_matches(name.upper(), names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"{name} is not a setting of hemvital-api{hint}")
    given = {
        names[name.upper()]: value
        for name, value in environment.items()
        if names.get(name.upper()) in kind.model_fields
    }
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]  # a value may be a secret
        name = prefix + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}: {first['msg']}") from error
