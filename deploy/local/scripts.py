"""Scripts of virtual devices: what is measured when, one JSON line a measurement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_script(file: Path, steps: Sequence[Mapping[str, object]]) -> Path:
    """Write the steps for ``hemvital-virtual --script`` and return the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(step) + "\n" for step in steps))
    return file
