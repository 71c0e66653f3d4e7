"""The pairing agent: who may pair with the gateway, and when.

Without a registered agent BlueZ pairs with nothing, Just Works included, and keeps no bond. With
one that says yes to everyone, any device in the house could pair. So: configured devices always,
others only while a window is open that a person opened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Annotated, Final

from dbus_fast.annotations import DBusObjectPath, DBusSignature, DBusStr, DBusUInt16, DBusUInt32
from dbus_fast.errors import DBusError
from dbus_fast.service import ServiceInterface, dbus_method

logger = logging.getLogger(__name__)

PATH: Final = "/hemvital/agent"
CAPABILITY: Final = "NoInputNoOutput"
_REJECTED: Final = "org.bluez.Error.Rejected"

# dbus-fast reads a method's signature off its annotations, and a postponed None is none to it.
Nothing = Annotated[None, DBusSignature("")]


class PairingWindow:
    """Whether a device may pair now.

    Args:
        devices: Addresses that may pair at any time, upper case.
        open_s: How long from now on any device may pair.
        monotonic_s: The clock that the window is measured by.
    """

    def __init__(
        self, devices: Collection[str], *, open_s: float, monotonic_s: Callable[[], float]
    ) -> None:
        self._devices = frozenset(devices)
        self._monotonic_s = monotonic_s
        self._closes_at_s = monotonic_s() + open_s

    @property
    def left_s(self) -> float:
        """Return how long the window stays open."""
        return max(self._closes_at_s - self._monotonic_s(), 0.0)

    def open(self, for_s: float) -> None:
        """Let any device pair for so long from now on."""
        self._closes_at_s = self._monotonic_s() + for_s

    def admits(self, address: str) -> bool:
        """Tell whether the device of this address may pair now."""
        return address in self._devices or self._monotonic_s() < self._closes_at_s


class Agent(ServiceInterface):
    """``org.bluez.Agent1`` of a box without keys or display.

    Source:
        BlueZ, doc/org.bluez.Agent.rst.
    """

    def __init__(self, window: PairingWindow) -> None:
        super().__init__("org.bluez.Agent1")
        self._window = window

    @dbus_method(name="Release")
    def release(self) -> Nothing:
        """BlueZ lets the agent go; the next registration comes with its next start."""

    @dbus_method(name="Cancel")
    def cancel(self) -> Nothing:
        """BlueZ gave up the request; none is pending here."""

    @dbus_method(name="RequestAuthorization")
    def request_authorization(self, device: DBusObjectPath) -> Nothing:
        """Let a device pair by Just Works, or refuse."""
        self._admit(device)

    @dbus_method(name="RequestConfirmation")
    def request_confirmation(self, device: DBusObjectPath, passkey: DBusUInt32) -> Nothing:
        """As Just Works: nobody stands at the gateway to compare numbers."""
        del passkey
        self._admit(device)

    @dbus_method(name="AuthorizeService")
    def authorize_service(self, device: DBusObjectPath, uuid: DBusStr) -> Nothing:
        """Let a bonded device use a service, or refuse."""
        del uuid
        self._admit(device)

    @dbus_method(name="RequestPasskey")
    def request_passkey(self, device: DBusObjectPath) -> DBusUInt32:
        """Refuse: there are no keys to type one."""
        raise self._refusal(device)

    @dbus_method(name="RequestPinCode")
    def request_pin_code(self, device: DBusObjectPath) -> DBusStr:
        """Refuse: there are no keys to type one."""
        raise self._refusal(device)

    @dbus_method(name="DisplayPasskey")
    def display_passkey(
        self, device: DBusObjectPath, passkey: DBusUInt32, entered: DBusUInt16
    ) -> Nothing:
        """Do nothing: there is no display, and a log is no place for a key."""

    @dbus_method(name="DisplayPinCode")
    def display_pin_code(self, device: DBusObjectPath, code: DBusStr) -> Nothing:
        """Do nothing: there is no display, and a log is no place for a key."""

    def _admit(self, device: str) -> None:
        if not self._window.admits(address_of(device)):
            raise self._refusal(device)
        logger.info("pairing admitted", extra={"device": address_of(device)})

    def _refusal(self, device: str) -> DBusError:
        logger.warning("pairing refused", extra={"device": address_of(device)})
        return DBusError(_REJECTED, "not admitted by this gateway")


def address_of(path: str) -> str:
    """Return the address in a device's D-Bus path, ``/org/bluez/hci0/dev_F0_00_00_00_00_01``."""
    return path.rpartition("/dev_")[2].partition("/")[0].replace("_", ":").upper()
