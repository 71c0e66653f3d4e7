"""Asking for a pairing window at the box itself: a file in the state directory.

Only the service's own user can write there, and nothing listens that another user could reach.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from pathlib import Path
from typing import Final

from device_adapters.contract.configuration import MAX_PAIRING_S

logger = logging.getLogger(__name__)

FILE_NAME: Final = "pairing-request"
_LOCK_NAME: Final = "lock"
_MOST_BYTES: Final = 8
_ANSWER_WITHIN_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.1


class PairingError(Exception):
    """The window could not be opened; the text is the sentence to show."""


def ask(directory: Path, minutes: int) -> None:
    """Ask the gateway that runs on a directory to open its window, and wait until it has heard.

    Raises:
        PairingError: If none runs there, or it does not look.
        OSError: If the directory cannot be written.
    """
    if not 1 <= minutes <= MAX_PAIRING_S // 60:
        raise PairingError(f"minutes: 1 to {MAX_PAIRING_S // 60}, not {minutes}.")
    if not _is_running(directory):
        # A file left for a gateway that starts some day would open it when nobody stands there.
        raise PairingError(f"No gateway runs on {directory}: start it, then open the window.")
    file = directory / FILE_NAME
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "w", encoding="ascii") as written:
        written.write(str(minutes))
    fresh.replace(file)
    deadline_s = time.monotonic() + _ANSWER_WITHIN_S
    while file.exists():
        if time.monotonic() > deadline_s:
            file.unlink(missing_ok=True)
            raise PairingError(f"The gateway on {directory} does not answer; no window is open.")
        time.sleep(_LOOK_EVERY_S)


class PairingRequests:
    """Takes what was asked for in a directory; what stood there before is thrown away."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE_NAME
        self._file.unlink(missing_ok=True)

    def take_s(self) -> float | None:
        """Return for how many seconds a window is asked for, once, or ``None``."""
        try:
            descriptor = os.open(self._file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("pairing request cannot be read", extra={"reason": str(error)})
            return None
        with os.fdopen(descriptor, "rb") as file:
            owner, text = os.fstat(file.fileno()).st_uid, file.read(_MOST_BYTES + 1)
        self._file.unlink(missing_ok=True)
        is_ours = owner in (0, os.geteuid())
        if not is_ours or len(text) > _MOST_BYTES or not text.isdigit():
            logger.warning("pairing request refused", extra={"is_ours": is_ours})
            return None
        return min(int(text) * 60.0, float(MAX_PAIRING_S))


def _is_running(directory: Path) -> bool:
    try:
        with (directory / _LOCK_NAME).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
