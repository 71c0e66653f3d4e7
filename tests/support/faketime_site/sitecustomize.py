"""Run by Python at the start of whatever runs under libfaketime.

libfaketime 0.9.10 with its monotonic clock left true lets ``clock_nanosleep`` fail, by which
Python's ``time.sleep`` waits (its issue 426); paho sleeps so between two connects.
"""

from __future__ import annotations

import select
import time


def _sleep(seconds: float, /) -> None:
    select.select([], [], [], seconds)


time.sleep = _sleep
