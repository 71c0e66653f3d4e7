"""The configuration that a site starts from agrees with the contract and with itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.local.mosquitto import render
from deploy.local.state import CHECKOUT, write_private
from device_adapters.contract.messages import MAX_BROKER_BYTES

MOSQUITTO = (CHECKOUT / "deploy" / "mosquitto" / "mosquitto.conf").read_text(encoding="utf-8")
LOCKS = ["requirements/dev.txt", "requirements/uv.txt"]


def test_only_the_listeners_change_on_one_machine() -> None:
    rendered = render(MOSQUITTO, port=20001, services_port=20002)

    changed = set(rendered.splitlines()) ^ set(MOSQUITTO.splitlines())
    assert changed == {
        "listener 8883",
        "listener 20001 127.0.0.1",
        "listener 8884 127.0.0.1",
        "listener 20002 127.0.0.1",
    }


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "\nlistener 8883\n",
        "\nlistener 8883\n" * 2,
        "\nlistener 8883\nlistener 1883\n",
        MOSQUITTO + "listener 1883\n",
    ],
)
def test_settings_without_the_two_known_listeners_are_refused(settings: str) -> None:
    with pytest.raises(ValueError, match="listener"):
        render(settings, port=20001, services_port=20002)


def test_the_broker_takes_what_the_contract_allows_with_its_headers() -> None:
    found = re.search(r"^max_packet_size (\d+)$", MOSQUITTO, re.MULTILINE)

    assert found
    assert int(found[1]) == MAX_BROKER_BYTES + 8 * 1024


def test_the_broker_saves_once_a_minute_and_not_at_every_change() -> None:
    # docs/adr/0013: what was measured when it did.
    assert "\nautosave_interval 60\n" in MOSQUITTO
    assert "\nautosave_on_changes false\n" in MOSQUITTO


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_hashes_and_no_address_or_path(lock: str) -> None:
    text = (CHECKOUT / lock).read_text(encoding="utf-8")
    entries = re.findall(
        r"^[a-z0-9._-]+==\S+(?: ; [^\\\n]+)? \\\n    --hash=sha256:", text, re.MULTILINE
    )

    assert len(entries) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))
    assert not re.search(r"://|index-url|find-links|file:|^-e|[ =]/", text, re.MULTILINE)


def test_a_private_file_is_whole_and_its_owners_only(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "password"
    write_private(file, b"first")

    write_private(file, b"second")

    assert file.read_bytes() == b"second"
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    assert [each.name for each in file.parent.iterdir()] == ["password"]
