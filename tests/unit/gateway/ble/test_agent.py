"""Who may pair, and when."""

from __future__ import annotations

import pytest
from dbus_fast.errors import DBusError

from gateway.ble.agent import Agent, PairingWindow, address_of

CUFF, OTHER = "F0:00:00:00:00:01", "F0:00:00:00:00:02"


class Seconds:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_configured_devices_may_always_pair() -> None:
    window = PairingWindow([CUFF], open_s=0, monotonic_s=Seconds())

    assert (window.admits(CUFF), window.admits(OTHER)) == (True, False)


def test_others_may_pair_while_the_window_is_open() -> None:
    clock = Seconds()
    window = PairingWindow([], open_s=60, monotonic_s=clock)

    clock.now_s = 159.9
    early = window.admits(OTHER)
    clock.now_s = 160.0
    late = window.admits(OTHER)

    assert (early, late) == (True, False)


@pytest.mark.parametrize(
    "path", ["/org/bluez/hci0/dev_F0_00_00_00_00_01", "/org/bluez/hci1/dev_f0_00_00_00_00_01"]
)
def test_a_path_names_a_device(path: str) -> None:
    assert address_of(path) == CUFF


@pytest.mark.parametrize("path", ["/", "/org/bluez/hci0", "/org/bluez/hci0/dev_"])
def test_a_path_of_no_device_is_refused(path: str) -> None:
    agent = Agent(PairingWindow([CUFF], open_s=0, monotonic_s=Seconds()))

    with pytest.raises(DBusError):
        agent.request_authorization(path)
