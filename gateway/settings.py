"""Settings: one frozen value from a TOML file, environment variables, or both.

The environment wins over the file. A name that is not known stops the start with a sentence that
gives the nearest known one: a misspelt setting that is silently ignored is found on the day it
was needed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from device_adapters.contract.messages import MAX_RECORDS
from gateway.clock import TIMESYNCD_FILE, ClockSource

PREFIX: Final = "HEMVITAL_GATEWAY_"
FILE_VARIABLE: Final = f"{PREFIX}FILE"

_GatewayId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
_Address = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-F]{2}(:[0-9A-F]{2}){5}$")]
# A DNS name or an IP address. Other text would end paho's thread for ever: no name to look up.
_LABEL: Final = "[A-Za-z0-9_-]{1,63}"
_HOST: Final = rf"^({_LABEL}(\.{_LABEL})*\.?|[0-9a-f]*:[0-9a-f:.]*)$"
_Host = Annotated[str, msgspec.Meta(pattern=_HOST)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_ServerPort = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class SettingsError(ValueError):
    """The settings cannot be used; the text is the sentence to show."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a gateway is told; ``docs/reference/gateway-settings.md`` describes each."""

    id: _GatewayId
    state: Path
    broker_host: _Host
    broker_authority: Path
    broker_certificate: Path
    broker_key: Path
    broker_port: _ServerPort = 8883
    timezone: str = "Europe/Stockholm"
    devices: tuple[_Address, ...] = ()
    clock: ClockSource = ClockSource.ADJTIMEX
    clock_file: Path = TIMESYNCD_FILE
    adapter: Annotated[str, msgspec.Meta(pattern=r"^hci[0-9]{1,3}$")] | None = None
    cool_down_s: _Seconds = 5.0
    http_host: str = "127.0.0.1"
    http_port: _Port = 9464
    drain_s: _Seconds = 5.0
    records_per_message: Annotated[int, msgspec.Meta(ge=1, le=MAX_RECORDS)] = 100
    max_bytes: Annotated[int, msgspec.Meta(ge=4 << 20, le=1 << 40)] = 512 << 20
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def zone(self) -> ZoneInfo:
        """Return the home's time zone."""
        return ZoneInfo(self.timezone)


def load(environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Return the settings of a file and the environment together.

    Args:
        environment: All environment variables; those that start with ``HEMVITAL_GATEWAY_`` count.
        file: The TOML file; without one ``HEMVITAL_GATEWAY_FILE`` may name it.

    Raises:
        SettingsError: If a name is not known, a needed one is missing or a value cannot be used.
    """
    named = environment.get(FILE_VARIABLE)
    path = file or (Path(named) if named else None)
    given = _from_file(path) if path else {}
    given |= _from_environment(environment)
    if isinstance(given.get("devices"), str):
        given["devices"] = [part.strip() for part in given["devices"].split(",") if part.strip()]
    if isinstance(given.get("devices"), list):
        given["devices"] = [str(address).upper() for address in given["devices"]]
    try:
        settings = msgspec.convert(given, Settings, strict=False, dec_hook=_path)
        ZoneInfo(settings.timezone)
    except msgspec.ValidationError as error:
        raise SettingsError(f"Settings cannot be used: {error}.") from error
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SettingsError(f"timezone: {given['timezone']!r} is not a known zone.") from error
    return settings


def _from_file(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"Settings file {path}: {error}.") from error
    _refuse_unknown(found, Settings.__struct_fields__, f"settings file {path}")
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    known = {PREFIX + field.upper(): field for field in Settings.__struct_fields__}
    _refuse_unknown(found, [*known, FILE_VARIABLE], "the environment")
    return {known[name]: value for name, value in found.items() if name in known}


def _refuse_unknown(found: Iterable[str], known: Iterable[str], where: str) -> None:
    names = list(known)
    for name in found:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise SettingsError(f"{name} in {where} is no setting of the gateway{hint}")


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    raise ValueError("expected a path")  # msgspec adds where
