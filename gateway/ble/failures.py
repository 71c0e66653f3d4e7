"""What the radio can raise."""

from __future__ import annotations

from typing import Final

from bleak.exc import BleakError
from dbus_fast.errors import DBusFastError

#: A device that leaves in the middle, or a BlueZ that is restarted, shows as any of these: bleak
#: asserts that its bus is still there, looks up services that have just gone, and calls methods
#: of what has become None. One device's failure must not end the others' conversations.
RADIO_ERRORS: Final = (
    BleakError,
    DBusFastError,
    OSError,  # TimeoutError is one
    EOFError,
    AssertionError,
    AttributeError,
    KeyError,
)
