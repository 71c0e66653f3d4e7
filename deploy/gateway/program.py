#!/usr/bin/python3 -I
"""``hemvital-gateway`` of one release: its own libraries, and nothing that lies elsewhere."""

from __future__ import annotations

import faulthandler
import sys
from pathlib import Path

# The watchdog ends a program that stands still by SIGABRT: the log then says where it stood.
faulthandler.enable()
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))

from gateway.command import main  # noqa: E402 - the path comes first

sys.exit(main())
