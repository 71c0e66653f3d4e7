"""The device's own book of what it measured and gave away, to hold the platform against."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal

Event = Literal["measured", "given", "dropped"]


class Ledger:
    """Writes one JSON line an event, on disk before it returns.

    ``measured``: a record was made; ``given``: its indication was confirmed, so a record given
    again stands there again; ``dropped``: a full memory lost it before it was ever given.
    """

    def __init__(self, file: Path | None, *, device: str, clock: Callable[[], datetime]) -> None:
        self._file = file
        self._device = device
        self._clock = clock
        if file is not None:
            file.touch()  # a place that cannot be written stops the start, not the first reading

    def write(self, event: Event, characteristic: str, raw: bytes) -> None:
        """Write one event; without a file, do nothing.

        Raises:
            OSError: If the disk refuses.
        """
        if self._file is None:
            return
        line = {
            "event": event,
            "at": self._clock().isoformat(),
            "device": self._device,
            "characteristic": characteristic,
            "raw": raw.hex(),
        }
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
