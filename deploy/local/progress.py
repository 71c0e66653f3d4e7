"""Show on a terminal what is being done and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable


def progress(title: str, run: Callable[[], None]) -> None:
    """Run one step: its title is shown when it begins, the seconds when it is done."""
    print(f"{title} … ", end="", flush=True)
    began = time.monotonic()
    run()
    print(f"{time.monotonic() - began:.1f} s", flush=True)
