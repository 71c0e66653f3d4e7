"""Settings from a file and the environment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.clock import ClockSource
from gateway.settings import Settings, SettingsError, load

NEEDED = {
    "HEMVITAL_GATEWAY_ID": "gateway-1",
    "HEMVITAL_GATEWAY_STATE": "/var/lib/hemvital",
    "HEMVITAL_GATEWAY_BROKER_HOST": "broker.example",
    "HEMVITAL_GATEWAY_BROKER_AUTHORITY": "ca.pem",
    "HEMVITAL_GATEWAY_BROKER_CERTIFICATE": "gateway.pem",
    "HEMVITAL_GATEWAY_BROKER_KEY": "gateway.key",
}


def test_environment_alone_is_enough() -> None:
    settings = load(NEEDED | {"HOME": "/root", "HEMVITAL_INGEST_PORT": "1"})

    assert settings.id == "gateway-1"
    assert settings.state == Path("/var/lib/hemvital")
    assert settings.timezone == "Europe/Stockholm"
    assert settings.clock is ClockSource.ADJTIMEX


def test_values_are_read_as_their_types() -> None:
    settings = load(
        NEEDED
        | {
            "HEMVITAL_GATEWAY_BROKER_PORT": "18883",
            "HEMVITAL_GATEWAY_CLOCK": "trusted",
            "HEMVITAL_GATEWAY_DEVICES": "f0:00:00:00:00:01, F0:00:00:00:00:02",
            "HEMVITAL_GATEWAY_DRAIN_S": "0.5",
        }
    )

    assert settings.broker_port == 18883
    assert settings.clock is ClockSource.TRUSTED
    assert settings.devices == ("F0:00:00:00:00:01", "F0:00:00:00:00:02")
    assert settings.drain_s == 0.5


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('broker_port = 1\ndrain_s = 3\ndevices = ["f0:00:00:00:00:01"]\n')

    settings = load(
        NEEDED | {"HEMVITAL_GATEWAY_FILE": str(file), "HEMVITAL_GATEWAY_BROKER_PORT": "2"}
    )

    assert (settings.broker_port, settings.drain_s) == (2, 3.0)
    assert settings.devices == ("F0:00:00:00:00:01",)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HEMVITAL_GATEWAY_BROKER_PROT", "1", "HEMVITAL_GATEWAY_BROKER_PORT"),
        ("HEMVITAL_GATEWAY_DEVICE", "", "HEMVITAL_GATEWAY_DEVICES"),
        ("HEMVITAL_GATEWAY_BROKER_PORT", "many", "broker_port"),
        ("HEMVITAL_GATEWAY_BROKER_PORT", "70000", "broker_port"),
        ("HEMVITAL_GATEWAY_BROKER_PORT", "0", "broker_port"),
        ("HEMVITAL_GATEWAY_BROKER_HOST", "", "broker_host"),
        ("HEMVITAL_GATEWAY_BROKER_HOST", "broker..example", "broker_host"),
        ("HEMVITAL_GATEWAY_BROKER_HOST", "b" * 64, "broker_host"),
        ("HEMVITAL_GATEWAY_BROKER_HOST", "mqtts://broker.example", "broker_host"),
        ("HEMVITAL_GATEWAY_ID", "a/b", "id"),
        ("HEMVITAL_GATEWAY_DEVICES", "F0", "devices"),
        ("HEMVITAL_GATEWAY_CLOCK", "mine", "clock"),
        ("HEMVITAL_GATEWAY_TIMEZONE", "Europe/Kiruna", "timezone"),
        ("HEMVITAL_GATEWAY_TIMEZONE", "../etc/passwd", "timezone"),
        ("HEMVITAL_GATEWAY_STATE", "", "state"),
        ("HEMVITAL_GATEWAY_FILE", "/nowhere/gateway.toml", "gateway.toml"),
    ],
)
def test_a_mistake_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load(NEEDED | {name: value})


def test_a_missing_setting_is_named() -> None:
    without_id = {name: value for name, value in NEEDED.items() if not name.endswith("_ID")}

    with pytest.raises(SettingsError, match="`id`"):
        load(without_id)


def test_a_misspelt_name_in_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("drian_s = 3\n")

    with pytest.raises(SettingsError, match=r"drian_s .* did you mean drain_s\?"):
        load(NEEDED, file)


def test_the_reference_describes_every_setting() -> None:
    page = Path("docs/reference/gateway-settings.md").read_text(encoding="utf-8")

    described = re.findall(r"^\| `HEMVITAL_GATEWAY_([A-Z_]+)`", page, re.MULTILINE)

    assert sorted(described) == sorted([*map(str.upper, Settings.__struct_fields__), "FILE"])
