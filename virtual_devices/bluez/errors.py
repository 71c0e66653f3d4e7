"""What bluetoothd answers when something cannot be done, and when Bumble says so."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from bumble import att, core
from dbus_fast import DBusError

_PREFIX: Final = "org.bluez.Error."
# What Bumble raises when a link dies under an operation, apart from its own errors.
_LINK_DIED: Final = (TimeoutError, AssertionError, AttributeError, LookupError)
_NOT_PAIRED: Final = (
    att.ErrorCode.INSUFFICIENT_AUTHENTICATION,
    att.ErrorCode.INSUFFICIENT_ENCRYPTION,
    att.ErrorCode.INSUFFICIENT_ENCRYPTION_KEY_SIZE,
)
# BlueZ 5.66, src/gatt-client.c, create_gatt_dbus_error().
_BY_ATT_CODE: Final = {
    att.ErrorCode.READ_NOT_PERMITTED: ("NotPermitted", "Read not permitted"),
    att.ErrorCode.WRITE_NOT_PERMITTED: ("NotPermitted", "Write not permitted"),
    att.ErrorCode.INVALID_OFFSET: ("InvalidArguments", "Invalid offset"),
    att.ErrorCode.INVALID_ATTRIBUTE_LENGTH: ("InvalidArguments", "Invalid Length"),
    att.ErrorCode.INSUFFICIENT_AUTHORIZATION: ("NotAuthorized", "Operation Not Authorized"),
    att.ErrorCode.REQUEST_NOT_SUPPORTED: ("NotSupported", "Operation is not supported"),
}


def error(name: str, text: str) -> DBusError:
    """Return an ``org.bluez.Error`` of this name."""
    return DBusError(_PREFIX + name, text)


def is_security(failure: att.ATT_Error) -> bool:
    """Tell whether the device wants the link encrypted or authenticated first."""
    return failure.error_code in _NOT_PAIRED


@contextmanager
def translated() -> Generator[None]:
    """Turn Bumble's errors into those of bluetoothd.

    Raises:
        DBusError: For whatever went wrong on the air.
    """
    try:
        yield
    except att.ATT_Error as failure:
        raise _from_att(failure) from failure
    except (core.BaseBumbleError, *_LINK_DIED) as failure:
        raise error("Failed", f"Not connected ({type(failure).__name__})") from failure
    except asyncio.CancelledError as failure:
        # Bumble cancels what waits on a connection that ends; nobody cancelled us.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise error("Failed", "Not connected") from failure


def _from_att(failure: att.ATT_Error) -> DBusError:
    if is_security(failure):
        return error("NotPermitted", "Not paired")
    for code, (name, text) in _BY_ATT_CODE.items():
        if failure.error_code == code:
            return error(name, text)
    return error("Failed", f"Operation failed with ATT error: 0x{failure.error_code:02x}")
