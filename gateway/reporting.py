"""What every part of the gateway may say of itself: what is wrong, and what happened.

Who hears it (the file, the status, the events) is not the speaker's business.
"""

from __future__ import annotations

from typing import Protocol

from device_adapters.contract.standing import Happening, Problem


class Reports(Protocol):
    """Takes reports. Never raises: a gateway that cannot report must still read and send."""

    def begin(
        self, problem: Problem, *, device_id: str | None = None, detail: str | None = None
    ) -> None:
        """Say that something is wrong; said again it keeps its beginning and takes the detail."""
        ...

    def end(self, problem: Problem, *, device_id: str | None = None) -> None:
        """Say that it is wrong no more; harmless where it was not."""
        ...

    def note(
        self, happening: Happening, *, device_id: str | None = None, detail: str | None = None
    ) -> None:
        """Say that something happened."""
        ...
