"""A clock of the home that can be set: whatever runs by it has its own wall clock.

Only the wall clock is moved, by libfaketime; the monotonic count, the boot's count and every
waiting stay true, as when a real machine's clock is set.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Final

_LIBRARY: Final = "x*/faketime/libfaketimeMT.so.1", "a*/faketime/libfaketimeMT.so.1"
_SITE: Final = Path(__file__).with_name("faketime_site")


class HomeClock:
    """How far a home's wall clock is ahead of this machine's; whoever runs by it follows."""

    def __init__(self, file: Path, ahead: timedelta = timedelta()) -> None:
        self._file = file
        self.set(ahead)

    @property
    def environment(self) -> dict[str, str]:
        """Return what a process needs to run by this clock."""
        found = [each for pattern in _LIBRARY for each in Path("/usr/lib").glob(pattern)]
        assert found, "libfaketime is not installed: make setup does"
        return {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(_SITE), os.environ.get("PYTHONPATH")])
            ),
        }

    def set(self, ahead: timedelta) -> None:
        """Let the clock jump."""
        part = self._file.with_name(f"{self._file.name}.part")
        part.write_text(f"{ahead.total_seconds():+.0f}\n")
        part.replace(self._file)  # whole or not at all: it is read again at each look at the clock
        self.ahead = ahead
