"""The pairing agent: answers BlueZ's questions for a box without keys or display.

Without a registered agent BlueZ pairs with nothing, Just Works included, and keeps no bond. With
one that says yes to everyone, any device in reach could pair, under any address: so a configured
one may only while a window is open, too (ADR 0025).
"""

from __future__ import annotations

import logging
from typing import Annotated, Final

from dbus_fast.annotations import DBusObjectPath, DBusSignature, DBusStr, DBusUInt16, DBusUInt32
from dbus_fast.errors import DBusError
from dbus_fast.service import ServiceInterface, dbus_method

from gateway.ble.window import PairingWindow

logger = logging.getLogger(__name__)

PATH: Final = "/hemvital/agent"
CAPABILITY: Final = "NoInputNoOutput"
_REJECTED: Final = "org.bluez.Error.Rejected"

# dbus-fast reads a method's signature off its annotations, and a postponed None is none to it.
Nothing = Annotated[None, DBusSignature("")]


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
        """Refuse: the gateway offers no services."""
        del uuid
        raise self._refusal(device)

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
        if not self._window.admit(address_of(device)):
            raise DBusError(_REJECTED, "no pairing window is open")

    def _refusal(self, device: str) -> DBusError:
        logger.warning("not possible on a gateway", extra={"device": address_of(device)})
        return DBusError(_REJECTED, "not possible on a gateway")


def address_of(path: str) -> str:
    """Return the address in a device's D-Bus path, ``/org/bluez/hci0/dev_F0_00_00_00_00_01``."""
    return path.rpartition("/dev_")[2].partition("/")[0].replace("_", ":").upper()
