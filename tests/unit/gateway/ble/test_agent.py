"""What the agent answers BlueZ."""

from __future__ import annotations

import pytest
from dbus_fast.errors import DBusError

from gateway.ble.agent import Agent, address_of
from tests.unit.gateway.ble.windows import Reported, Seconds, window

CUFF = "F0:00:00:00:00:01"
PATH = "/org/bluez/hci0/dev_F0_00_00_00_00_01"


def test_a_device_may_pair_while_the_window_is_open() -> None:
    pairing = window(Seconds(), Reported())
    agent = Agent(pairing)
    pairing.open(60)

    agent.request_authorization(PATH)
    agent.request_confirmation(PATH, 123456)

    assert pairing.take_admitted(CUFF)


def test_a_device_that_may_not_pair_is_refused_and_told_of() -> None:
    reports = Reported()

    with pytest.raises(DBusError):
        Agent(window(Seconds(), reports)).request_authorization(PATH)

    assert reports.said == [("pairing_refused", CUFF)]


def test_a_gateway_offers_no_services_and_types_no_keys() -> None:
    pairing = window(Seconds(), Reported())
    agent = Agent(pairing)
    pairing.open(60)

    with pytest.raises(DBusError):
        agent.authorize_service(PATH, "00001812-0000-1000-8000-00805f9b34fb")
    with pytest.raises(DBusError):
        agent.request_passkey(PATH)


@pytest.mark.parametrize(
    "path", ["/org/bluez/hci0/dev_F0_00_00_00_00_01", "/org/bluez/hci1/dev_f0_00_00_00_00_01"]
)
def test_a_path_names_a_device(path: str) -> None:
    assert address_of(path) == CUFF


@pytest.mark.parametrize("path", ["/", "/org/bluez/hci0", "/org/bluez/hci0/dev_"])
def test_a_path_of_no_device_is_refused_even_while_the_window_is_open(path: str) -> None:
    pairing = window(Seconds(), Reported())
    pairing.open(60)

    with pytest.raises(DBusError):
        Agent(pairing).request_authorization(path)
