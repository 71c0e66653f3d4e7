"""Show on a terminal what is being done and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable


class Progress:
    """Prints one line a step: its title when it begins, the seconds when it is done."""

    def __init__(self) -> None:
        self._steps = 0

    def __call__(self, title: str, run: Callable[[], None]) -> None:
        """Run one step and show it."""
        self._steps += 1
        print(f"[{self._steps:2}] {title} … ", end="", flush=True)
        began = time.monotonic()
        run()
        print(f"{time.monotonic() - began:.1f} s", flush=True)
